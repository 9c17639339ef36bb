//! Fixed bugs that controls put back: the simulation must find each of them.

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// After a loss of Redis every admission of a ticket is published again, and the last one wins.
    OldTurnsRepublished,
    /// Revoked tokens count as unclaimed turns.
    RevocationsCount,
    /// A publication gets the number after the last one that was recorded as published.
    NumbersReused,
    /// A controller waits until the database's clock has passed the last tick again.
    ClockGoesBack,
    /// Any Redis that a controller reaches may begin a new epoch.
    NoFence,
    /// A sale counts as moved by the clock although an operator was faster.
    MovedAfterAnOperator,
    /// Turns that no page could claim during an outage count as unclaimed.
    OutagesCount,
    /// The limit per shopper is counted for each ticket.
    LimitPerTicket,
    /// A ticket is admitted again before the outcome of its last turn is published.
    AdmitsUnpublished,
    /// The newest admission of a ticket is the one with the latest time.
    NewestByClock,
    /// An epoch that began in the future delays every later one.
    EpochInTheFuture,
    /// Epochs of a series follow each other without a pause.
    EpochsWithoutPause,
    /// A removed ticket that is passed is not recorded as removed.
    RemovalsNotRecorded,
    /// A token lapses with its claim window although a page has claimed it.
    ClaimsIgnored,
    /// A ticket that waits is passed, and recorded as removed.
    PassedAsRemoved,
    /// A restored line is raised only above the ordinals that the copy and Redis know.
    RestoreWithoutMargin,
    /// A restored line is not deleted from Redis.
    RestoreKeepsTurns,
    /// Units in checkout count as free.
    HeldUnitsIgnored,
    /// The units of a shopper who leaves stay promised.
    LeftUnitsKept,
    /// A ticket that has a turn may get another one.
    AdmittedTwice,
    /// The row of a line names a process that does not have it.
    LineNotFound,
    /// A ticket is admitted although it was removed.
    RemovalsNotChecked,
    /// Each controller keeps the credit of the rate cap, and the time of the last tick, to itself.
    CreditPerController,
    /// A sale without shoppers saves credit up.
    CreditAtRest,
    /// A transaction that a controller gives up is not rolled back, and keeps the lock.
    LockAbandoned,
}

/// Some bugs.
#[derive(Debug, Clone, Default)]
pub struct Bugs(Vec<Bug>);

impl Bugs {
    /// With these bugs.
    #[must_use]
    pub fn of(bugs: &[Bug]) -> Self {
        Self(bugs.to_vec())
    }

    /// Whether this bug is put back.
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
    /// Its finding and effect.
    pub what: &'static str,
    /// The kind of violation that it causes: see [`crate::story::kind`].
    pub breaks: &'static str,
    /// In the mirrors: the ledger's statements and rows and checkout.
    pub bugs: &'static [Bug],
    /// In the library: current text, and its replacement.
    pub patches: &'static [(&'static str, &'static str)],
}

/// All controls.
pub const CONTROLS: &[Control] = &[
    Control {
        name: "old-turns-republished",
        what: "after a loss of Redis an old turn replaces a new one",
        breaks: "turn differs",
        bugs: &[Bug::OldTurnsRepublished],
        patches: &[],
    },
    Control {
        name: "returned-in-between",
        what: "a shopper who returns between query and publication is passed",
        breaks: "silent page",
        bugs: &[],
        patches: &[(
            "local passed = call('ZRANGE', keys[RETURNED], '-inf', text(cursor), 'BYSCORE', 'WITHSCORES')",
            "local passed = {}",
        )],
    },
    Control {
        name: "recalled-over-epochs",
        what: "a ticket recalled in an earlier epoch is served as if recalled in this one",
        breaks: "the record is rejected",
        bugs: &[],
        patches: &[("    call('UNLINK', keys[RECALLED], keys[ABSENT], keys[RETURNED], keys[PASSED])\n", "")],
    },
    Control {
        name: "no-fence",
        what: "controllers with two primaries take the line from each other",
        breaks: "epochs too fast",
        bugs: &[Bug::NoFence],
        patches: &[],
    },
    Control {
        name: "clock-goes-back",
        what: "a database clock that went back stops the sale",
        breaks: "no progress",
        bugs: &[Bug::ClockGoesBack],
        patches: &[],
    },
    Control {
        name: "equal-numbers",
        what: "two publications have one number, and the later one is taken",
        breaks: "two holders",
        bugs: &[Bug::NumbersReused],
        patches: &[("publication <= number(keys, 'publication')", "publication < number(keys, 'publication')")],
    },
    Control {
        name: "leave-not-recorded",
        what: "a shopper who leaves between commit and publication keeps a unit until the claim window ends",
        breaks: "leave not recorded",
        bugs: &[],
        patches: &[("if known == 'left' and is_live(turn) then call('HSET', keys[CLAIMS], id, 'left') end", "")],
    },
    Control {
        name: "moved-after-an-operator",
        what: "a sale that an operator closes while it opens admits shoppers",
        breaks: "not open",
        bugs: &[Bug::MovedAfterAnOperator],
        patches: &[],
    },
    Control {
        name: "outages-count",
        what: "turns that no page could claim in an outage count as unclaimed",
        breaks: "place lost",
        bugs: &[Bug::OutagesCount],
        patches: &[],
    },
    Control {
        name: "limit-per-ticket",
        what: "a shopper who joins again gets the limit again",
        breaks: "above the limit",
        bugs: &[Bug::LimitPerTicket],
        patches: &[],
    },
    Control {
        name: "query-beyond-redis",
        what: "a Redis one epoch behind can't answer a query beyond its last ticket",
        breaks: "not settled",
        bugs: &[],
        patches: &[(
            "    if highest > from then\n        waiting = waiting + highest",
            "    if true then\n        waiting = waiting + highest",
        )],
    },
    Control {
        name: "revocations-count",
        what: "revoked tokens count as unclaimed turns",
        breaks: "place lost",
        bugs: &[Bug::RevocationsCount],
        patches: &[],
    },
    Control {
        name: "admits-unpublished",
        what: "a ticket whose lapsed turn is not published is admitted again",
        breaks: "the record is rejected",
        bugs: &[Bug::AdmitsUnpublished],
        patches: &[],
    },
    Control {
        name: "newest-by-clock",
        what: "after the database's clock was set back an older turn counts as the newest",
        breaks: "turn differs",
        bugs: &[Bug::NewestByClock],
        patches: &[],
    },
    Control {
        name: "epoch-in-the-future",
        what: "an epoch that began in the future delays every later one",
        breaks: "no progress",
        bugs: &[Bug::EpochInTheFuture],
        patches: &[],
    },
    Control {
        name: "epochs-without-pause",
        what: "epochs of a series follow each other without a pause, and use the ordinals up",
        breaks: "epochs too fast",
        bugs: &[Bug::EpochsWithoutPause],
        patches: &[],
    },
    Control {
        name: "removals-not-recorded",
        what: "a removed ticket that returns counts as passed over",
        breaks: "the record is rejected",
        bugs: &[Bug::RemovalsNotRecorded],
        patches: &[],
    },
    Control {
        name: "claims-ignored",
        what: "a claimed token lapses with its claim window",
        breaks: "turned away",
        bugs: &[Bug::ClaimsIgnored],
        patches: &[],
    },
    Control {
        name: "passed-as-removed",
        what: "a ticket that waits is passed, and recorded as removed",
        breaks: "passed",
        bugs: &[Bug::PassedAsRemoved],
        patches: &[],
    },
    Control {
        name: "restore-without-margin",
        what: "after a restore ordinals are given again that neither the copy nor Redis has",
        breaks: "two holders",
        bugs: &[Bug::RestoreWithoutMargin],
        patches: &[],
    },
    Control {
        name: "restore-keeps-turns",
        what: "after a restore Redis keeps tokens that the restored database does not have",
        breaks: "not settled",
        bugs: &[Bug::RestoreKeepsTurns],
        patches: &[("known_epoch >= RESTORED_EPOCHS", "known_epoch < 0")],
    },
    Control {
        name: "held-units-ignored",
        what: "units in checkout count as free",
        breaks: "oversold",
        bugs: &[Bug::HeldUnitsIgnored],
        patches: &[],
    },
    Control {
        name: "left-units-kept",
        what: "the unit of a shopper who leaves stays promised",
        breaks: "stock differs",
        bugs: &[Bug::LeftUnitsKept],
        patches: &[],
    },
    Control {
        name: "admitted-twice",
        what: "a ticket whose turn is not published yet is admitted again",
        breaks: "two turns",
        bugs: &[Bug::AdmittedTwice],
        patches: &[],
    },
    Control {
        name: "line-not-found",
        what: "each tick takes the line for lost, and begins another epoch",
        breaks: "epochs without end",
        bugs: &[Bug::LineNotFound],
        patches: &[],
    },
    Control {
        name: "recalled-with-turn",
        what: "a recalled ticket that is admitted stays recalled",
        breaks: "recalled with a turn",
        bugs: &[],
        patches: &[(
            "if call('ZREMRANGEBYSCORE', keys[RECALLED], place, place) > 0 and not is_live(turn) then",
            "if not is_live(turn) and call('ZREMRANGEBYSCORE', keys[RECALLED], place, place) > 0 then",
        )],
    },
    Control {
        name: "recalled-turn-unsent",
        what: "the turn of a recalled ticket is not sent to its page",
        breaks: "turn unseen",
        bugs: &[],
        patches: &[(
            "            stored[#stored + 1] = { tonumber(id), turn }",
            "            local place = text(number_of(keys, tonumber(id), number(keys, 'drawn')))
            local waits = call('ZRANGE', keys[RECALLED], place, place, 'BYSCORE')[1]
            if not (waits and is_live(turn)) then stored[#stored + 1] = { tonumber(id), turn } end",
        )],
    },
    Control {
        name: "late-as-published",
        what: "a publication that Redis rejects as late counts as published",
        breaks: "turn differs",
        bugs: &[Bug::NumbersReused],
        patches: &[(
            "publication <= number(keys, 'publication')) then return LATE end",
            "publication <= number(keys, 'publication')) then return 0 end",
        )],
    },
    Control {
        name: "removals-not-checked",
        what: "a removed ticket is admitted, since its removal is not published yet",
        breaks: "removed",
        bugs: &[Bug::RemovalsNotChecked],
        patches: &[],
    },
    Control {
        name: "credit-per-controller",
        what: "each controller has a credit of its own, so that two admit more than the rate cap",
        breaks: "above the cap",
        bugs: &[Bug::CreditPerController],
        patches: &[],
    },
    Control {
        name: "credit-at-rest",
        what: "a sale at rest saves credit up, and admits its next shoppers at once",
        breaks: "above the cap",
        bugs: &[Bug::CreditAtRest],
        patches: &[],
    },
    Control {
        name: "lock-abandoned",
        what: "a transaction that a controller gives up keeps the lock until Postgres ends its session, after 5 s",
        breaks: "no progress",
        bugs: &[Bug::LockAbandoned],
        patches: &[],
    },
    Control {
        name: "joins-repeated",
        what: "a repeated batch of joins gets new places",
        breaks: "place changed",
        bugs: &[],
        patches: &[("return earlier and field_of(earlier, 'epoch') == epoch and earlier or nil", "return nil")],
    },
];
