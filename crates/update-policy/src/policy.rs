//! Chooses the next message to a page, from the current state and the messages sent before. Pure.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use fairline_line::{change::Turn, places::Place, ticket::Ordinal};
use fairline_sale::{SaleCard, Status};

use crate::{
    countdown::{Correction, Countdown, milliseconds, tolerated},
    forecast::{Forecast, WaitOutlook, WaitRange},
    message::{LineMessage, Outcome},
};

/// The current state for one ticket.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The ticket's ordinal.
    pub ordinal: Ordinal,
    /// The sale's card.
    pub card: &'a Arc<SaleCard>,
    /// Changes whenever the card changes in more than the number of remaining units.
    pub news: u32,
    /// Whether the line could be reached recently.
    pub line_reachable: bool,
    /// The state of the ticket's turn.
    pub turn: &'a Turn,
    /// The ticket's place, if it waits.
    pub place: Option<Place>,
    /// Number of participants of a draw that has not been made.
    pub in_draw: Option<u64>,
    /// How fast the line moves.
    pub forecast: Forecast,
    /// Time since the node started.
    pub now: Duration,
}

/// The messages that a page was sent. There is one record for each shopper, so it is small.
#[derive(Debug, Default)]
pub struct SentState {
    sent: Option<Countdown>,
    /// The wait that was sent with the place.
    wait_s: Option<f32>,
    /// The first wait that was sent, and when, in the countdown's milliseconds.
    first_wait: Option<(u32, WaitOutlook)>,
    /// The number behind that was sent with the place; [`IN_DRAW`] if the number of participants
    /// was sent instead.
    behind: u32,
    /// The card's news and remaining units that were sent, and when.
    news: Option<u32>,
    remaining: u32,
    remaining_at_ms: u32,
    /// Hash of the turn's token; 0 without one.
    token_hash: u32,
    out_of_touch: bool,
    beyond_stock: bool,
    /// Whether there was news since the place was sent.
    had_news: bool,
    over: bool,
}

/// A value of `behind` that no place has.
const IN_DRAW: u32 = u32::MAX;
/// Minimum interval between updates of the number of participants in a draw, in milliseconds.
const IN_DRAW_EVERY_MS: u32 = 2000;
/// While the line can't be reached: when a page can expect the next message, in milliseconds.
const RETRY_AFTER_MS: u64 = 1500;
/// Every place includes the number of remaining units. That number alone is sent when it has
/// changed by more than a quarter of all units.
const REMAINING_PART: u32 = 4;
/// Minimum interval between messages with only that number, in milliseconds.
const REMAINING_EVERY_MS: u32 = 60_000;
/// A wait is sent again when it has changed by more than this share and by more than
/// `WAIT_DIFFERS_S`, in seconds.
const WAIT_DIFFERS: f64 = 0.2;
const WAIT_DIFFERS_S: f64 = 10.0;
/// Minimum interval between such messages, in milliseconds.
const WAIT_EVERY_MS: u32 = 30_000;
/// Minimum interval between changes of whether a wait is beyond the stock, in milliseconds.
const BEYOND_STOCK_EVERY_MS: u32 = 10_000;
/// Minimum interval between messages about the number behind, which is sent again when its order of
/// magnitude has changed, in milliseconds.
const BEHIND_EVERY_MS: u32 = 60_000;
/// After news, a new rate is sent at once if the page would otherwise be wrong within this many
/// seconds.
const RATE_WRONG_WITHIN_S: f64 = 60.0;

impl SentState {
    /// The next message, or `None` when the page is up to date.
    pub fn next(&mut self, inputs: &Inputs<'_>) -> Option<LineMessage> {
        if self.over {
            return None;
        }
        if self.news != Some(inputs.news) || self.should_send_remaining(inputs) {
            self.had_news |= self.news != Some(inputs.news);
            self.news = Some(inputs.news);
            self.remember_remaining(inputs);
            if inputs.card.status != Status::Open {
                self.stop(inputs.now);
            }
            // The head of the record changes constantly and is not sent to pages.
            let sale = SaleCard { record: None, ..SaleCard::clone(inputs.card) };
            return Some(LineMessage::Sale { sale: Box::new(sale) });
        }
        if !inputs.line_reachable {
            let news = !self.out_of_touch;
            self.out_of_touch = true;
            self.stop(inputs.now);
            return news.then_some(LineMessage::Reconnecting { retry_after_ms: RETRY_AFTER_MS });
        }
        if let Some(outcome) = outcome(inputs.turn, inputs.card.status) {
            self.over = true;
            return Some(LineMessage::Over { outcome });
        }
        if let Turn::Now(turn) = inputs.turn {
            let token_hash = hash(&turn.token);
            // Sent again after the line was unreachable, so that the page shows that it is
            // reachable again.
            if self.token_hash == token_hash && !self.out_of_touch {
                return None;
            }
            self.token_hash = token_hash;
            self.sent = None;
            self.out_of_touch = false;
            return Some(LineMessage::Turn {
                token: turn.token.clone(),
                expires_at: turn.expires_at,
                claim_by: turn.claim_by,
                quantity: turn.quantity,
            });
        }
        if let Some(participants) = inputs.in_draw {
            return self.draw_message(inputs, participants);
        }
        if self.behind == IN_DRAW {
            (self.sent, self.behind) = (None, 0);
        }
        self.place_message(inputs, inputs.place?)
    }

    /// Before the draw, tickets have no place: sends the number of participants.
    fn draw_message(&mut self, inputs: &Inputs<'_>, participants: u64) -> Option<LineMessage> {
        // A departed ticket does not take part.
        inputs.place?;
        if let Some(sent) = self.sent.as_ref().filter(|_| self.behind == IN_DRAW && !self.out_of_touch) {
            // Exact for a small number, whose participants can count each other; within one per
            // cent for a crowd.
            let differs = u64::from(sent.shown(inputs.now)).abs_diff(participants) > participants / 100;
            if !differs || sent.age_ms(inputs.now) < IN_DRAW_EVERY_MS {
                return None;
            }
        }
        let all = Place { ahead: participants, recalled: 0, behind: 0 };
        self.sent = Some(Countdown::new(None, inputs.now, all, 0.0));
        (self.behind, self.token_hash, self.out_of_touch) = (IN_DRAW, 0, false);
        Some(LineMessage::Draw { ordinal: inputs.ordinal, participants })
    }

    /// Whether the last message has been sent.
    pub fn over(&self) -> bool {
        self.over
    }

    /// Compares the first wait that was sent with the actual one. Returns a value once, after the
    /// message of a turn.
    pub fn take_ended_wait(&mut self, now: Duration) -> Option<EndedWait> {
        if self.token_hash == 0 {
            return None;
        }
        let (at_ms, sent) = self.first_wait.take()?;
        let waited_s = f64::from(milliseconds(now).wrapping_sub(at_ms)) / 1000.0;
        Some(EndedWait { ratio: waited_s / f64::from(sent.median_s), within: sent.within(waited_s) })
    }

    fn stop(&mut self, now: Duration) {
        if let Some(sent) = &mut self.sent {
            sent.stop(now);
        }
    }

    fn remember_remaining(&mut self, inputs: &Inputs<'_>) {
        (self.remaining, self.remaining_at_ms) = (inputs.card.remaining, milliseconds(inputs.now));
    }

    fn should_send_remaining(&self, inputs: &Inputs<'_>) -> bool {
        self.remaining.abs_diff(inputs.card.remaining) > inputs.card.total / REMAINING_PART
            && milliseconds(inputs.now).wrapping_sub(self.remaining_at_ms) >= REMAINING_EVERY_MS
    }

    fn place_message(&mut self, inputs: &Inputs<'_>, place: Place) -> Option<LineMessage> {
        let forecast = &inputs.forecast;
        let outlook = forecast.outlook(place.ahead);
        let rate_per_s = forecast.places_per_s(place.ahead).map(|rate| (rate * 10_000.0).round() / 10_000.0);
        let beyond_stock = forecast.is_beyond_stock(place.ahead, self.beyond_stock);
        let had_news = std::mem::take(&mut self.had_news);
        let mut message = LineMessage::Place {
            ordinal: inputs.ordinal,
            place: place.ahead,
            behind: place.behind,
            recalled: place.recalled,
            rate_per_s,
            wait: outlook.map(|outlook| outlook.wait()),
            beyond_stock,
            remaining: inputs.card.remaining,
        };
        let mut counted_from = (place, rate_per_s);
        if let Some(sent) = &mut self.sent
            && !self.out_of_touch
        {
            let age_ms = sent.age_ms(inputs.now);
            let drifts_per_s = (sent.rate_per_s() - rate_per_s.unwrap_or_default()).abs();
            let rate_differs = drifts_per_s * RATE_WRONG_WITHIN_S > tolerated(place.ahead);
            match sent.wrong(inputs.now, place) {
                Some(Correction::Elsewhere) => {}
                Some(Correction::Recalled { min }) => {
                    let shown = u64::from(sent.shown(inputs.now));
                    counted_from = (Place { ahead: shown, recalled: u64::from(min), ..place }, None);
                    if let LineMessage::Place { place, recalled, rate_per_s, .. } = &mut message {
                        (*place, *recalled, *rate_per_s) = (shown, u64::from(min), None);
                    }
                }
                None if had_news && rate_differs && inputs.card.status == Status::Open => {}
                None if beyond_stock != self.beyond_stock && age_ms >= BEYOND_STOCK_EVERY_MS => {}
                None if !(beyond_stock && self.beyond_stock) && self.should_send_wait(outlook, age_ms) => {}
                None if differs_tenfold(self.behind, place.behind) && age_ms >= BEHIND_EVERY_MS => {}
                None => return None,
            }
        }
        let (place, rate_per_s) = counted_from;
        self.sent = Some(Countdown::new(self.sent.as_ref(), inputs.now, place, rate_per_s.unwrap_or_default()));
        self.wait_s = outlook.map(|outlook| outlook.median_s);
        if self.first_wait.is_none() {
            self.first_wait = outlook.map(|outlook| (milliseconds(inputs.now), outlook));
        }
        self.behind = u32::try_from(place.behind).unwrap_or(u32::MAX).min(IN_DRAW - 1);
        self.beyond_stock = beyond_stock;
        self.token_hash = 0;
        self.out_of_touch = false;
        self.remember_remaining(inputs);
        Some(message)
    }

    fn should_send_wait(&self, outlook: Option<WaitOutlook>, age_ms: u32) -> bool {
        match (self.wait_s, outlook) {
            (None, Some(_)) => true,
            (Some(sent_s), Some(outlook)) => {
                let (sent_s, now_s) = (f64::from(sent_s) - f64::from(age_ms) / 1000.0, f64::from(outlook.median_s));
                age_ms >= WAIT_EVERY_MS && (sent_s - now_s).abs() > (WAIT_DIFFERS * now_s).max(WAIT_DIFFERS_S)
            }
            (_, None) => false,
        }
    }
}

/// A completed wait, compared with its forecast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndedWait {
    /// The actual wait divided by the forecast median.
    pub ratio: f64,
    /// The forecast range that contains it.
    pub within: WaitRange,
}

fn differs_tenfold(one: u32, other: u64) -> bool {
    let one = u64::from(one);
    one.max(other) >= 10 * one.min(other).max(1)
}

/// A hash of a token, never 0. Two successive tokens of one ticket differ in it.
fn hash(token: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    token.hash(&mut hasher);
    (hasher.finish() as u32).max(1)
}

/// Whether only the number of remaining units or the head of the record changed. They change
/// constantly, so they are not urgent.
pub fn differs_in_counts_only(before: &SaleCard, after: &SaleCard) -> bool {
    let same = SaleCard { remaining: after.remaining, record: after.record.clone(), ..before.clone() };
    before != after && same == *after
}

/// The outcome of a ticket whose wait is over. The sale's status does not end a turn: only checkout
/// decides on tokens.
fn outcome(turn: &Turn, status: Status) -> Option<Outcome> {
    match (turn, status) {
        (Turn::Bought, _) => Some(Outcome::Bought),
        (Turn::Left, _) => Some(Outcome::Left),
        (Turn::Removed, _) => Some(Outcome::Removed),
        (Turn::Limit, _) => Some(Outcome::Limit),
        (Turn::Now(_), _) => None,
        (_, Status::Closed) => Some(Outcome::Closed),
        (Turn::Expired, _) => Some(Outcome::Expired),
        (Turn::Missed, _) => Some(Outcome::Missed),
        (_, Status::SoldOut) => Some(Outcome::SoldOut),
        (Turn::Waiting | Turn::Lapsed, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use fairline_line::change::LiveTurn;
    use time::OffsetDateTime;

    use super::*;

    fn card(status: Status) -> Arc<SaleCard> {
        Arc::new(SaleCard { total: 100, remaining: 60, status, ..SaleCard::example() })
    }

    fn inputs(card: &Arc<SaleCard>) -> Inputs<'_> {
        Inputs {
            ordinal: 7,
            card,
            news: 1,
            line_reachable: true,
            turn: &Turn::Waiting,
            place: Some(at(3, 0)),
            in_draw: None,
            forecast: Forecast::default(),
            now: s(1000.0),
        }
    }

    fn at(ahead: u64, recalled: u64) -> Place {
        Place { ahead, recalled, behind: 9 }
    }

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn live() -> Turn {
        let at = OffsetDateTime::UNIX_EPOCH;
        Turn::Now(LiveTurn { token: "a.b.c".to_owned(), quantity: 1, claim_by: at, expires_at: at })
    }

    fn all(state: &mut SentState, inputs: &Inputs<'_>) -> Vec<&'static str> {
        std::iter::from_fn(|| state.next(inputs)).take(10).map(|message| message.kind()).collect()
    }

    #[test]
    fn the_state_of_a_page_is_small() {
        assert!(size_of::<SentState>() <= 80, "{}", size_of::<SentState>());
    }

    #[test]
    fn a_page_receives_every_change_once() {
        let (open, mut state) = (card(Status::Open), SentState::default());
        let first = inputs(&open);
        assert_eq!(all(&mut state, &first), ["sale", "place"]);
        assert!(all(&mut state, &first).is_empty(), "nothing changed");

        let moved = Inputs { place: Some(at(1, 0)), ..first.clone() };
        assert!(all(&mut state, &moved).is_empty(), "too early");
        let moved = Inputs { now: s(1000.3), ..moved };
        assert_eq!(all(&mut state, &moved), ["place"]);

        let fewer = Arc::new(SaleCard { remaining: 30, ..SaleCard::clone(&open) });
        let fewer = Inputs { card: &fewer, now: s(1020.0), ..moved.clone() };
        assert!(all(&mut state, &fewer).is_empty(), "fewer units are not urgent");
        assert_eq!(all(&mut state, &Inputs { now: s(1070.0), ..fewer.clone() }), ["sale"]);

        let paused = card(Status::Paused);
        let paused = Inputs { card: &paused, news: 2, ..moved.clone() };
        assert_eq!(all(&mut state, &paused), ["sale"], "news are sent at once");

        let live = live();
        let turn = Inputs { turn: &live, place: None, news: 3, ..moved.clone() };
        assert_eq!(all(&mut state, &turn), ["sale", "turn"]);
        assert!(all(&mut state, &turn).is_empty());

        let recalled = Inputs { place: Some(at(0, 0)), news: 3, ..moved.clone() };
        assert_eq!(all(&mut state, &recalled), ["place"], "the turn lapsed and comes again");
        assert_eq!(all(&mut state, &turn), ["turn"]);

        assert_eq!(all(&mut state, &Inputs { turn: &Turn::Bought, ..turn }), ["over"]);
        assert!(state.over() && all(&mut state, &first).is_empty(), "over is the last message");
    }

    #[test]
    fn before_a_draw_no_ticket_has_a_place() {
        let (open, mut state) = (card(Status::Scheduled), SentState::default());
        let few = Inputs { in_draw: Some(4), ..inputs(&open) };
        assert_eq!(all(&mut state, &few), ["sale", "draw"]);
        assert_eq!(
            all(&mut state, &Inputs { in_draw: Some(5), now: s(1010.0), ..few }),
            ["draw"],
            "few are counted exactly"
        );
        let (open, mut state) = (card(Status::Scheduled), SentState::default());
        let first = Inputs { in_draw: Some(300), ..inputs(&open) };
        assert_eq!(all(&mut state, &first), ["sale", "draw"]);
        let one_more = Inputs { in_draw: Some(301), now: s(1010.0), ..first.clone() };
        assert!(all(&mut state, &one_more).is_empty(), "one more of many is not sent");
        let many_more = Inputs { in_draw: Some(600), now: s(1001.0), ..first.clone() };
        assert!(all(&mut state, &many_more).is_empty(), "too early");
        assert_eq!(all(&mut state, &Inputs { now: s(1010.0), ..many_more }), ["draw"]);
        let drawn = Inputs { now: s(1010.0), ..inputs(&open) };
        assert_eq!(all(&mut state, &drawn), ["place"], "at once");
        assert!(all(&mut state, &drawn).is_empty());
        let departed = Inputs { place: None, ..first };
        assert_eq!(all(&mut SentState::default(), &departed), ["sale"]);
    }

    #[test]
    fn changes_of_the_remaining_units_delay_no_place() {
        let (open, mut state) = (card(Status::Open), SentState::default());
        all(&mut state, &Inputs { place: Some(at(100, 0)), ..inputs(&open) });
        for step in 1..40 {
            let card = Arc::new(SaleCard { remaining: 100 * (step % 2), ..SaleCard::clone(&open) });
            let place = Some(at(100 - 2 * u64::from(step), 0));
            let moved = Inputs { card: &card, place, now: s(1000.0 + f64::from(step) * 61.0), ..inputs(&open) };
            assert_eq!(all(&mut state, &moved).last(), Some(&"place"));
        }
    }

    #[test]
    fn an_unreachable_line_and_its_return_are_sent() {
        let (open, live) = (card(Status::Open), live());
        for back in [inputs(&open), Inputs { turn: &live, ..inputs(&open) }] {
            let mut state = SentState::default();
            all(&mut state, &back);
            let lost = Inputs { line_reachable: false, ..back.clone() };
            assert_eq!(all(&mut state, &lost), ["reconnecting"]);
            assert_eq!(all(&mut state, &back).len(), 1);
        }
    }

    #[test]
    fn every_end_has_its_outcome() {
        for (turn, status, expected) in [
            (Turn::Waiting, Status::SoldOut, Some(Outcome::SoldOut)),
            (Turn::Lapsed, Status::SoldOut, Some(Outcome::SoldOut)),
            (Turn::Waiting, Status::Closed, Some(Outcome::Closed)),
            (Turn::Expired, Status::Closed, Some(Outcome::Closed)),
            (Turn::Expired, Status::Open, Some(Outcome::Expired)),
            (Turn::Bought, Status::SoldOut, Some(Outcome::Bought)),
            (Turn::Left, Status::Open, Some(Outcome::Left)),
            (Turn::Removed, Status::Open, Some(Outcome::Removed)),
            (Turn::Limit, Status::Open, Some(Outcome::Limit)),
            (live(), Status::Closed, None),
            (live(), Status::SoldOut, None),
            (Turn::Waiting, Status::Paused, None),
            (Turn::Waiting, Status::Scheduled, None),
        ] {
            assert_eq!(outcome(&turn, status), expected, "{turn:?} {status:?}");
        }
    }
}
