//! Bugs that were fixed, to be put back: the simulation has to find each of them.

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// After a loss of Redis every admission of a ticket is told again, and the last one told wins.
    OldAdmissionsToldAgain,
    /// Tokens that an operator took back count among the turns that nobody claimed.
    RevocationsCount,
    /// A publication has the number after the last one that was noted as told.
    NumbersFromWhatWasNoted,
    /// A controller waits until the clock of the database has come back to the last tick.
    ClockGoesBack,
    /// Whatever Redis a controller sees may begin a new epoch.
    NoFence,
    /// A sale counts as moved by the clock though an operator was faster.
    MovedAfterAnOperator,
    /// Turns that no page could claim, since the line or all controllers were away, count as unclaimed.
    OutagesCount,
    /// The limit per shopper is counted for each ticket.
    LimitPerTicket,
    /// A ticket is admitted again before the outcome of its last turn is published.
    AdmitsUnpublished,
    /// The newest admission of a ticket is the one with the latest time.
    NewestByClock,
}

/// Some bugs.
#[derive(Debug, Clone, Default)]
pub struct Bugs(Vec<Bug>);

impl Bugs {
    /// These.
    #[must_use]
    pub fn of(bugs: &[Bug]) -> Self {
        Self(bugs.to_vec())
    }

    /// Whether it is among them.
    #[must_use]
    pub fn has(&self, bug: Bug) -> bool {
        self.0.contains(&bug)
    }
}

/// A bug that was fixed, and how to put it back.
#[derive(Debug, Clone, Copy)]
pub struct Control {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub what: &'static str,
    /// In the ledger and the tick.
    pub bugs: &'static [Bug],
    /// In the library: texts, and what stood there before.
    pub patches: &'static [(&'static str, &'static str)],
}

/// All of them.
pub const CONTROLS: &[Control] = &[
    Control {
        name: "old-admissions-told-again",
        what: "core 1: after a loss of Redis an old turn is told over a new one",
        bugs: &[Bug::OldAdmissionsToldAgain],
        patches: &[],
    },
    Control {
        name: "returned-in-between",
        what: "core 2: who comes back between a look and its publication is passed",
        bugs: &[],
        patches: &[(
            "local passed = call('ZRANGE', keys[RETURNED], '-inf', text(cursor), 'BYSCORE', 'WITHSCORES')",
            "local passed = {}",
        )],
    },
    Control {
        name: "recalled-over-epochs",
        what: "core 6: who was recalled in an earlier epoch is served as if recalled in this one",
        bugs: &[],
        patches: &[("    call('UNLINK', keys[RECALLED], keys[ABSENT], keys[RETURNED], keys[PASSED])\n", "")],
    },
    Control {
        name: "no-fence",
        what: "core 12: controllers that see two primaries take the line from each other",
        bugs: &[Bug::NoFence],
        patches: &[],
    },
    Control {
        name: "clock-goes-back",
        what: "core 13: a database whose clock went back stops the sale",
        bugs: &[Bug::ClockGoesBack],
        patches: &[],
    },
    Control {
        name: "equal-numbers",
        what: "core 16: two publications have one number, and the later one is taken",
        bugs: &[Bug::NumbersFromWhatWasNoted],
        patches: &[("publication <= number(keys, 'publication')", "publication < number(keys, 'publication')")],
    },
    Control {
        name: "left-unheard",
        what: "core 19: who leaves between commit and publication keeps a unit until the claim window ends",
        bugs: &[],
        patches: &[("if known == 'left' and is_live(turn) then call('HSET', keys[CLAIMS], id, 'left') end", "")],
    },
    Control {
        name: "moved-after-an-operator",
        what: "core 18: a sale that an operator closes in the moment in which it opens lets shoppers in",
        bugs: &[Bug::MovedAfterAnOperator],
        patches: &[],
    },
    Control {
        name: "outages-count",
        what: "core 20: turns that no page could claim in an outage count as turns that nobody claimed",
        bugs: &[Bug::OutagesCount],
        patches: &[],
    },
    Control {
        name: "limit-per-ticket",
        what: "promise 8: who joins anew has the limit once more",
        bugs: &[Bug::LimitPerTicket],
        patches: &[],
    },
    Control {
        name: "look-behind",
        what: "found here: a Redis that is an epoch behind can't answer a look beyond all that it knows",
        bugs: &[],
        patches: &[(
            "    if highest > from then\n        waiting = waiting + highest",
            "    if true then\n        waiting = waiting + highest",
        )],
    },
    Control {
        name: "revocations-count",
        what: "core 20: tokens that an operator took back count as turns that nobody claimed",
        bugs: &[Bug::RevocationsCount],
        patches: &[],
    },
    Control {
        name: "admits-unpublished",
        what: "found here: a ticket whose lapsed turn is not published is admitted again",
        bugs: &[Bug::AdmitsUnpublished],
        patches: &[],
    },
    Control {
        name: "newest-by-clock",
        what: "found here: after the clock of the database was set back an older turn counts as the newest",
        bugs: &[Bug::NewestByClock],
        patches: &[],
    },
];
