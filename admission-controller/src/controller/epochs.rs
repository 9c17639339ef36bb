//! When a new epoch of a line begins, and how the row of a line changes with ticks and epochs.
//! Pure.
//!
//! A line lives in one Redis process, which Postgres names. A controller that finds another process
//! at its address can't know whether the first has failed or is only unreachable from here. So it
//! takes over only when no controller has reached the first for a while. Two processes at once,
//! each with its controllers, then never take the line from each other in turns.

use std::time::Duration;

use fairline_line::{
    store::{Home, Upcoming},
    ticket::Ordinal,
};
use time::OffsetDateTime;

use super::{
    columns::stored,
    line::{LineRow, present},
};

/// The time for a controller to publish an epoch that it has begun, before another controller
/// begins one more.
pub const PUBLISHED_WITHIN: Duration = Duration::from_secs(2);
/// If no controller has completed a tick for this long, none reaches the Redis that the line lived
/// in. It is longer than the time between two ticks of a sale, and than the deadline of a call to
/// Redis.
const FENCE: Duration = Duration::from_millis(1500);
/// An epoch that begins within this time after the previous one belongs to a series.
pub const SETTLED: Duration = Duration::from_secs(60);
/// Epochs of a series that begin without a pause; each later one waits twice as long as the one
/// before.
const AT_ONCE: u32 = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// How long a lost line waits for its shoppers at most: nodes present their tickets within a
/// second, and browsers whose node has failed reconnect within a few.
pub const RECOVERY_MAX: Duration = Duration::from_secs(10);
/// How long a lost line waits once as many nodes as before have presented all of their tickets: for
/// shoppers between two connections. Up to 5 % may be missing. Later returns do not prolong it.
const RECOVERY_LAST: (i64, Duration) = (5, Duration::from_millis(300));
/// How long it waits if a node may be missing, and up to 25 % of the shoppers: they connect to
/// other nodes.
const RECOVERY_QUIET: (i64, Duration) = (25, Duration::from_millis(1500));
/// Ordinals that a line may give before the controller grants more: enough for a tick, and for a
/// short outage of the controller.
const GRANTED_AHEAD: i64 = 100_000;
/// The minimum, in a series of epochs, which would use the ordinals up.
const GRANTED_AHEAD_MIN: i64 = 1000;

/// Whether Redis returned the line that Postgres names, not a part of its shoppers in another
/// process.
pub(crate) fn is_current(line: &LineRow, seen: &Upcoming) -> bool {
    // A line that was begun by an earlier version names no process.
    seen.epoch == line.epoch() && line.home.as_ref().is_none_or(|home| *home == seen.home)
}

/// Why no new epoch begins yet of a line that this Redis does not have.
pub(crate) fn waits(
    line: &LineRow,
    redis: &Home,
    ticked_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Option<&'static str> {
    if line.epoch == 0 {
        return None;
    }
    let since_began = now - line.epoch_began_at;
    // Further ahead than any epoch is dated: the clock was set back.
    if (since_began + PUBLISHED_WITHIN).is_negative() {
        return None;
    }
    if since_began.is_negative() {
        return Some("another controller has begun an epoch, and is about to publish it");
    }
    let since_ticked = now - ticked_at;
    let was_reached = !since_ticked.is_negative() && since_ticked < FENCE;
    if was_reached && line.home.as_ref().is_some_and(|home| *home != redis.run_id) {
        return Some("the line lives in another Redis, which a controller has just reached");
    }
    (since_began < pause(line.rapid_epochs())).then_some("epochs of the line follow each other too fast")
}

/// The pause before the next epoch of a series.
fn pause(rapid_epochs: u32) -> Duration {
    match rapid_epochs.checked_sub(AT_ONCE + 1) {
        None => Duration::ZERO,
        Some(doublings) => (FIRST_PAUSE * 2_u32.pow(doublings.min(10))).min(LAST_PAUSE),
    }
}

/// When a lost line stops waiting for its shoppers; `None` if it does not wait. The more are back,
/// the shorter is the rest of the wait. A ticket that is presented later is recalled, and served
/// before all others.
pub fn recovers_until(line: &LineRow, seen: &Upcoming, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let before = line.returned(line.present, line.highest_ordinal);
    let back = line.returned(present(seen), i64::try_from(seen.highest).unwrap_or(i64::MAX));
    let nodes = stored(seen.nodes);
    let until = line.recovers_until?;
    // Further ahead than any recovery ends: the clock was set back.
    if until <= now || until - now > RECOVERY_MAX + PUBLISHED_WITHIN {
        return None;
    }
    let missing = (line.expected - back).max(0);
    let missing_percent = missing.saturating_mul(100) / line.expected.max(1);
    if back <= before && nodes <= line.nodes {
        return Some(until);
    }
    let all_nodes_are_back = line.expected_nodes > 0 && nodes >= line.expected_nodes;
    let wait = match missing_percent {
        percent if all_nodes_are_back && percent <= RECOVERY_LAST.0 => RECOVERY_LAST.1,
        percent if percent <= RECOVERY_QUIET.0 => RECOVERY_QUIET.1,
        _ => return Some(until),
    };
    Some(until.min(now + wait))
}

/// How many ordinals to grant ahead, after a number of epochs in short succession.
pub fn granted_ahead(rapid_epochs: u32) -> i64 {
    (GRANTED_AHEAD >> rapid_epochs.saturating_sub(1).min(20)).max(GRANTED_AHEAD_MIN)
}

/// What a tick has changed in a line.
pub struct LineMove {
    /// The highest number whose turn has come.
    pub cursor: Ordinal,
    /// How many ordinals beyond the highest one Redis may issue.
    pub granted_ahead: i64,
    /// Admissions made.
    pub admitted: i64,
    /// Of these, the ones of tickets that had none before.
    pub first: i64,
}

impl LineRow {
    /// Applies a tick to the row.
    pub fn move_on(&mut self, moved: &LineMove, seen: &Upcoming, now: OffsetDateTime) {
        self.recovers_until = recovers_until(self, seen, now);
        // The shoppers who were just admitted are still counted as waiting in `seen`.
        self.waiting = (stored(seen.waiting) - moved.admitted).max(0);
        self.present = (self.waiting - stored(seen.absent)).max(0);
        self.nodes = stored(seen.nodes);
        self.cursor = self.cursor.max(stored(moved.cursor));
        self.highest_ordinal = self.highest_ordinal.max(stored(seen.highest)).max(self.cursor);
        self.granted = self.granted.max(self.highest_ordinal + moved.granted_ahead);
        self.home = Some(seen.home.clone());
        self.admitted += moved.first;
    }

    /// Redis has lost the line: the present shoppers are expected back, with those still missing
    /// since an earlier loss.
    pub fn lose(&mut self, now: OffsetDateTime) {
        let still_recovers = self.recovers_until.is_some_and(|until| until > now);
        let (shoppers, nodes) = if still_recovers { (self.expected, self.expected_nodes) } else { (0, 0) };
        self.expected = self.present.max(shoppers);
        self.expected_nodes = self.nodes.max(nodes);
        self.recovers_until = (self.expected > 0).then(|| now + RECOVERY_MAX);
        (self.waiting, self.present, self.nodes) = (0, 0, 0);
    }

    /// How many epochs have begun in short succession, with one that begins now.
    pub fn rapid_epochs_with_another(&self, now: OffsetDateTime) -> i32 {
        let is_one_of_a_series = self.epoch > 0 && now - self.epoch_began_at < SETTLED;
        if is_one_of_a_series { self.rapid_epochs.saturating_add(1) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_the_future_is_not_recent() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let ago = |ms: i64| now - time::Duration::milliseconds(ms);
        let line =
            |began_ms_ago: i64, rapid_epochs: i32| LineRow::in_epoch(2, "first", ago(began_ms_ago), rapid_epochs);
        // In ms: how long ago the epoch began, and the last tick was.
        let waits = |began: i64, ticked: i64, redis: &str, rapid_epochs: i32| {
            let redis = Home { run_id: redis.to_owned(), epoch: 0, granted: 0 };
            waits(&line(began, rapid_epochs), &redis, ago(ticked), now)
        };
        let is_published_soon = Some("another controller has begun an epoch, and is about to publish it");
        let is_fenced = Some("the line lives in another Redis, which a controller has just reached");
        let is_restless = Some("epochs of the line follow each other too fast");
        assert_eq!(
            [0, -1, -2000, -2001].map(|began| waits(began, 0, "first", 0)),
            [None, is_published_soon, is_published_soon, None]
        );
        let fenced = [0, 1499, 1500, -1, -15_000].map(|ticked| waits(10_000, ticked, "second", 0));
        assert_eq!(fenced, [is_fenced, is_fenced, None, None, None]);
        assert_eq!([499, 500, -15_000].map(|began| waits(began, 0, "first", 3)), [is_restless, None, None]);
        // The database's clock went back by 15 s, and Redis was lost afterwards, after others.
        assert_eq!(waits(-15_000, -15_000, "second", 9), None);
    }

    #[test]
    fn a_line_that_was_lost_waits_until_its_shoppers_are_back() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        // In ms from now: when the wait for 100 shoppers ends, with those present a tick ago and
        // now.
        let seen = |present: i64| Upcoming { waiting: present.unsigned_abs(), ..Upcoming::default() };
        // With a node that is missing, and with all.
        let waits_ms = |nodes: u64, until: i64, before: i64, present: i64| {
            let mut line = LineRow::in_epoch(2, "first", now, 0);
            (line.expected, line.present, line.expected_nodes, line.nodes) = (100, before, 2, 1);
            line.recovers_until = Some(now + time::Duration::milliseconds(until));
            let seen = Upcoming { nodes, ..seen(present) };
            recovers_until(&line, &seen, now).map(|until| (until - now).whole_milliseconds())
        };
        assert_eq!([0, 50, 74].map(|present| waits_ms(1, 9000, 0, present)), [Some(9000); 3]);
        assert_eq!([75, 94, 100, 130].map(|present| waits_ms(1, 9000, 50, present)), [Some(1500); 4]);
        assert_eq!([0, 50, 74].map(|present| waits_ms(2, 9000, 0, present)), [Some(9000); 3]);
        assert_eq!([75, 94].map(|present| waits_ms(2, 9000, 50, present)), [Some(1500); 2]);
        assert_eq!([95, 100, 130].map(|present| waits_ms(2, 9000, 50, present)), [Some(300); 3]);
        // No other shopper and no other node has returned.
        assert_eq!(waits_ms(1, 200, 96, 96), Some(200));
        assert_eq!(waits_ms(1, 9000, 96, 96), Some(9000));
        // The last node had no other ticket to present.
        assert_eq!(waits_ms(2, 9000, 96, 96), Some(300));
        assert_eq!(waits_ms(2, 100, 95, 96), Some(100));
        assert_eq!(waits_ms(2, 0, 50, 50), None);
        // The clock was set back.
        assert_eq!(waits_ms(1, 12_001, 50, 50), None);
        // Shoppers who have joined since are not counted as returned.
        let joined = Upcoming { highest: 60, ..seen(120) };
        let mut line = LineRow::in_epoch(2, "first", now, 0);
        (line.expected, line.recovers_until) = (100, Some(now + Duration::from_secs(9)));
        assert_eq!(recovers_until(&line, &joined, now), line.recovers_until);
        assert_eq!(recovers_until(&LineRow::in_epoch(1, "first", now, 0), &seen(0), now), None);
    }

    #[test]
    fn a_series_of_epochs_slows_down_and_uses_up_few_ordinals() {
        let pauses: Vec<u64> = (0..12).map(|rapid_epochs| pause(rapid_epochs).as_millis() as u64).collect();
        assert_eq!(pauses, [0, 0, 0, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!((pause(u32::MAX), granted_ahead(u32::MAX)), (LAST_PAUSE, GRANTED_AHEAD_MIN));
        assert_eq!([0, 1, 2, 3].map(granted_ahead), [100_000, 100_000, 50_000, 25_000]);
        // A Redis that crashes repeatedly for a day: a line has 16 million ordinals.
        let (mut seconds, mut granted) = (0.0, 0);
        for rapid_epochs in 0.. {
            seconds += 5.0 + pause(rapid_epochs).as_secs_f64();
            granted += granted_ahead(rapid_epochs);
            if seconds > 86_400.0 {
                break;
            }
        }
        assert!(granted < 4_000_000, "{granted}");
    }
}
