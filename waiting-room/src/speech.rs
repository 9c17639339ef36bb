//! What to say to a page next, from what is so and what has been said. Pure.

use std::{sync::Arc, time::Duration};

use fairline_line::{change::Turn, ticket::Ordinal, view::Place};
use fairline_sale::{SaleCard, Status};

use crate::{
    message::{LineMessage, Outcome},
    pace::{self, Forecast},
};

/// What is so, for one ticket, now.
#[derive(Debug, Clone)]
pub(crate) struct Facts<'a> {
    pub(crate) ordinal: Ordinal,
    pub(crate) card: &'a Arc<SaleCard>,
    pub(crate) in_touch: bool,
    pub(crate) turn: &'a Turn,
    pub(crate) place: Option<Place>,
    pub(crate) forecast: Forecast,
    /// Time since the node started.
    pub(crate) now: Duration,
}

/// What a page has been told.
#[derive(Debug, Default)]
pub(crate) struct Said {
    card: Option<Arc<SaleCard>>,
    out_of_touch: bool,
    token: Option<String>,
    place: Option<Place>,
    /// When a change of place, or of the number of remaining units, is worth a message again.
    due: Duration,
    over: bool,
}

/// When a page hears from us again, unless something happens, while the line is out of reach.
const RETRY_AFTER_MS: u64 = 1500;

impl Said {
    /// The next message, or `None` when the page knows everything that it needs.
    pub(crate) fn next(&mut self, facts: &Facts<'_>) -> Option<LineMessage> {
        let due = self.due <= facts.now;
        let message = self.next_if(facts, due);
        if due || matches!(message, Some(LineMessage::Place { .. })) {
            self.due = facts.now + pace::push_after(self.place.map_or(0, |place| place.ahead));
        }
        message
    }

    /// Whether the last message has been said.
    pub(crate) fn over(&self) -> bool {
        self.over
    }

    /// `place_is_due` says whether a change of place, or of the number of remaining units, is worth a message yet.
    fn next_if(&mut self, facts: &Facts<'_>, place_is_due: bool) -> Option<LineMessage> {
        if self.over {
            return None;
        }
        let news = match &self.card {
            Some(card) => card != facts.card && (place_is_due || !differs_in_remaining_only(card, facts.card)),
            None => true,
        };
        if news {
            self.card = Some(facts.card.clone());
            return Some(LineMessage::Sale { sale: SaleCard::clone(facts.card) });
        }
        if !facts.in_touch {
            let news = !self.out_of_touch;
            self.out_of_touch = true;
            return news.then_some(LineMessage::Reconnecting { retry_after_ms: RETRY_AFTER_MS });
        }
        if let Some(outcome) = outcome(facts.turn, facts.card.status) {
            self.over = true;
            return Some(LineMessage::Over { outcome });
        }
        if let Turn::Now(turn) = facts.turn {
            // Said again after a loss of touch: the page then shows that it is over.
            if self.token.as_ref() == Some(&turn.token) && !self.out_of_touch {
                return None;
            }
            self.token = Some(turn.token.clone());
            self.place = None;
            self.out_of_touch = false;
            return Some(LineMessage::Turn {
                token: turn.token.clone(),
                expires_at: turn.expires_at,
                claim_by: turn.claim_by,
                quantity: turn.quantity,
            });
        }
        let place = facts.place?;
        let first = self.place.is_none() || self.out_of_touch;
        if !first && (!place_is_due || self.place == Some(place)) {
            return None;
        }
        self.place = Some(place);
        self.token = None;
        self.out_of_touch = false;
        let rate_per_s = facts.forecast.rate_per_s.filter(|_| facts.card.status == Status::Open);
        Some(LineMessage::Place {
            ordinal: facts.ordinal,
            place: place.ahead,
            behind: place.behind,
            wait: rate_per_s.map(|rate| pace::wait(place.ahead, rate)),
            rate_per_s: rate_per_s.map(|rate| (rate * 100.0).round() / 100.0),
        })
    }
}

/// Whether the number of remaining units is all that has changed: it does all the time, and is no news to hurry with.
pub(crate) fn differs_in_remaining_only(before: &SaleCard, after: &SaleCard) -> bool {
    let same = SaleCard { remaining: after.remaining, ..before.clone() };
    before.remaining != after.remaining && same == *after
}

/// Why there is nothing more to wait for, if so. Whoever has a token is not stopped by the sale's status: only checkout
/// decides on tokens.
fn outcome(turn: &Turn, status: Status) -> Option<Outcome> {
    match (turn, status) {
        (Turn::Bought, _) => Some(Outcome::Bought),
        (Turn::Left, _) => Some(Outcome::Left),
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
    use fairline_sale::SaleId;
    use time::OffsetDateTime;

    use super::*;

    fn card(status: Status) -> Arc<SaleCard> {
        Arc::new(SaleCard {
            id: "00000000-0000-0000-0000-000000000001".parse::<SaleId>().expect("a UUID"),
            slug: "first-drop".to_owned(),
            name: "First drop".to_owned(),
            description: String::new(),
            price_minor: 4900,
            currency: "EUR".to_owned(),
            per_shopper_limit: 1,
            total: 100,
            remaining: 60,
            status,
            opens_at: OffsetDateTime::UNIX_EPOCH,
            ends_at: None,
            rate_cap_per_s: 10.0,
            message: None,
        })
    }

    #[derive(Clone)]
    struct Is {
        card: Arc<SaleCard>,
        in_touch: bool,
        turn: Turn,
        place: Option<Place>,
    }

    fn facts() -> Is {
        let place = Some(Place { ahead: 3, behind: 9, recalled: 0 });
        Is { card: card(Status::Open), in_touch: true, turn: Turn::Waiting, place }
    }

    fn live() -> Turn {
        let at = OffsetDateTime::UNIX_EPOCH;
        Turn::Now(LiveTurn { token: "a.b.c".to_owned(), quantity: 1, claim_by: at, expires_at: at })
    }

    fn all(said: &mut Said, is: &Is, due: bool) -> Vec<String> {
        let facts = Facts {
            ordinal: 7,
            card: &is.card,
            in_touch: is.in_touch,
            turn: &is.turn,
            place: is.place,
            forecast: Forecast { rate_per_s: Some(2.0) },
            now: Duration::ZERO,
        };
        let messages = std::iter::from_fn(|| said.next_if(&facts, due));
        let kind = |message| serde_json::to_value(message).expect("JSON")["type"].as_str().map(str::to_owned);
        messages.take(10).filter_map(kind).collect()
    }

    #[test]
    fn a_shopper_hears_everything_once() {
        let mut said = Said::default();
        assert_eq!(all(&mut said, &facts(), false), ["sale", "place"]);
        assert!(all(&mut said, &facts(), true).is_empty(), "nothing changed");

        let moved = Is { place: Some(Place { ahead: 2, behind: 9, recalled: 0 }), ..facts() };
        assert!(all(&mut said, &moved, false).is_empty(), "too early");
        assert_eq!(all(&mut said, &moved, true), ["place"]);

        let fewer = Is {
            card: Arc::new(SaleCard { remaining: 59, ..SaleCard::clone(&card(Status::Open)) }),
            ..moved.clone()
        };
        assert!(all(&mut said, &fewer, false).is_empty(), "no news to hurry with");
        assert_eq!(all(&mut said, &fewer, true), ["sale"]);

        let paused = Is { card: card(Status::Paused), ..moved.clone() };
        assert_eq!(all(&mut said, &paused, false), ["sale"], "news wait for no pace");

        let turn = Is { turn: live(), place: None, ..moved.clone() };
        assert_eq!(all(&mut said, &turn, false), ["sale", "turn"]);
        assert!(all(&mut said, &turn, true).is_empty());

        let recalled = Is { place: Some(Place { ahead: 0, behind: 9, recalled: 0 }), ..facts() };
        assert_eq!(all(&mut said, &recalled, false), ["place"], "the turn lapsed and comes again");
        assert_eq!(all(&mut said, &turn, false), ["turn"]);

        assert_eq!(all(&mut said, &Is { turn: Turn::Bought, ..turn }, false), ["over"]);
        assert!(all(&mut said, &facts(), true).is_empty(), "over is the last word");
    }

    #[test]
    fn a_loss_of_touch_is_said_and_so_is_its_end() {
        for back in [facts(), Is { turn: live(), ..facts() }] {
            let mut said = Said::default();
            all(&mut said, &back, false);
            let lost = Is { in_touch: false, ..back.clone() };
            assert_eq!(all(&mut said, &lost, true), ["reconnecting"]);
            assert_eq!(all(&mut said, &back, false).len(), 1);
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
            (live(), Status::Closed, None),
            (live(), Status::SoldOut, None),
            (Turn::Waiting, Status::Paused, None),
            (Turn::Waiting, Status::Scheduled, None),
        ] {
            assert_eq!(outcome(&turn, status), expected, "{turn:?} {status:?}");
        }
    }
}
