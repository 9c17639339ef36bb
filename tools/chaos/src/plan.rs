//! What happens in one shop: a pure function of the seed.

use std::{collections::BTreeSet, fmt, time::Duration};

use fairline_rush::Dice;
use fairline_shop::{CHECKOUTS, CONTROLLERS, GATEWAY, NAMES, SHOPPERS, WAITING_ROOMS};

use crate::{
    fault::{Fault, LinkFault},
    topology::{PostgresKind, RedisKind},
};

/// Longer than the deadlines of statements, commands, idle transactions and calls between services.
const LONGEST: (Duration, Duration) = (Duration::from_secs(11), Duration::from_secs(14));
/// A service is paused for longer than its clients may take for their headers and bodies.
const STOPPED_LONGEST: Duration = Duration::from_secs(20);
/// In every eighth seed one service is paused for longer than every deadline, those of the
/// watchdogs of loops and ticks included (60 s).
const STOPPED_BEYOND_WATCHDOGS: Duration = Duration::from_secs(65);
/// The seeds with this remainder: neither the short plans of `make test` nor a Redis of several.
const STOPS_BEYOND_WATCHDOGS: (u64, u64) = (8, 6);
/// A time without faults follows each round of this number, and the last.
const QUIET_EVERY: usize = 4;
/// Long enough to notice a line that has stalled.
const QUIET: Duration = Duration::from_secs(16);
/// After every third of these: longer than a page may be silent, and than a turn lasts.
pub(crate) const LONG_QUIET: Duration = Duration::from_secs(36);
/// Faults of one round at least and at most, unless one comes alone.
const AT_ONCE: (u64, u64) = (4, 10);

/// Which sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaleKind {
    /// One line, in guarantee mode.
    Plain,
    /// With a lane, in which a part of the shoppers waits.
    Lane,
    /// It begins with a draw.
    Draw,
    /// In yield mode.
    Yield,
}

impl SaleKind {
    /// Sixteen seeds combine each kind of sale with each kind of Redis.
    fn of(seed: u64) -> SaleKind {
        [SaleKind::Plain, SaleKind::Lane, SaleKind::Draw, SaleKind::Yield][((seed + seed / 4) % 4) as usize]
    }
}

/// A fault, when it begins in its round, and how long it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The fault.
    pub fault: Fault,
    /// From the beginning of the round.
    pub begins_after: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}

/// The plan of one shop: rounds of overlapping faults, each after the shop has recovered from the
/// one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopPlan {
    /// What it was drawn from.
    pub seed: u64,
    /// Which Redis.
    pub redis: RedisKind,
    /// Which Postgres.
    pub postgres: PostgresKind,
    /// Which sale.
    pub sale: SaleKind,
    /// The rounds.
    pub rounds: Vec<Vec<Planned>>,
}

impl fmt::Display for ShopPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ShopPlan { seed, redis, postgres, sale, .. } = self;
        writeln!(f, "seed {seed}: Redis {redis:?}, Postgres {postgres:?}, sale {sale:?}")?;
        for (nth, round) in self.rounds.iter().enumerate() {
            for Planned { fault, begins_after, lasts } in round {
                let (at, lasts) = (begins_after.as_secs_f64(), lasts.as_secs_f64());
                writeln!(f, "  round {nth:2}  at {at:4.1} s for {lasts:4.1} s  {fault}")?;
            }
            let quiet_s = self.quiet_after(nth).as_secs();
            if quiet_s > 0 {
                writeln!(f, "  no faults for {quiet_s} s")?;
            }
        }
        Ok(())
    }
}

impl ShopPlan {
    /// The plan of a seed with this number of rounds; only of faults whose description contains
    /// `only`, if given.
    #[must_use]
    pub fn new(seed: u64, rounds: usize, only: Option<&str>) -> ShopPlan {
        let mut dice = Dice::new(seed, 0);
        let redis = match seed % 4 {
            1 => RedisKind::Sentinel,
            3 => RedisKind::Cluster,
            _ => RedisKind::Single,
        };
        let postgres = if dice.below(2) == 0 { PostgresKind::Single } else { PostgresKind::Replicated };
        let mut plan = ShopPlan { seed, redis, postgres, sale: SaleKind::of(seed), rounds: Vec::new() };
        while plan.rounds.len() < rounds {
            let is_in_the_middle = plan.rounds.len() == rounds / 2;
            let rare = if is_in_the_middle { plan.rare(&mut dice, only) } else { None };
            let round = rare.map_or_else(|| plan.round(&mut dice, only), |planned| vec![planned]);
            plan.rounds.push(round);
        }
        plan
    }

    /// A fault that some seeds have once, alone in its round: a service that is paused for longer
    /// than every deadline, or two fail-overs of Sentinel.
    fn rare(&self, dice: &mut Dice, only: Option<&str>) -> Option<Planned> {
        let (of, remainder) = STOPS_BEYOND_WATCHDOGS;
        let fault = match self.redis {
            _ if self.seed % of == remainder => Fault::Stop(NAMES[..6][dice.below(6) as usize]),
            RedisKind::Sentinel if self.seed % of == 1 => Fault::RedisTwoPrimaries,
            RedisKind::Sentinel => Fault::RedisFailOver(2),
            RedisKind::Single | RedisKind::Cluster => return None,
        };
        let is_wanted = only.is_none_or(|only| fault.to_string().contains(only));
        let lasts = if fault.is_fail_over() { duration(&fault, dice) } else { STOPPED_BEYOND_WATCHDOGS };
        is_wanted.then_some(Planned { fault, begins_after: Duration::ZERO, lasts })
    }

    /// How long the shop runs without faults after it has recovered from a round, so that promises
    /// that take time are checked.
    #[must_use]
    pub fn quiet_after(&self, nth: usize) -> Duration {
        let rounds = nth + 1;
        if rounds.is_multiple_of(3 * QUIET_EVERY) {
            LONG_QUIET
        } else if rounds.is_multiple_of(QUIET_EVERY) || rounds == self.rounds.len() {
            QUIET
        } else {
            Duration::ZERO
        }
    }

    fn round(&self, dice: &mut Dice, only: Option<&str>) -> Vec<Planned> {
        // A fifth come alone, so that each recovery is some fault's own.
        let wanted = if dice.below(5) == 0 { 1 } else { AT_ONCE.0 + dice.below(AT_ONCE.1 - AT_ONCE.0 + 1) };
        let (mut round, mut subjects) = (Vec::<Planned>::new(), BTreeSet::new());
        // Bounded: a fault that may not come, or not now, is drawn again.
        for _ in 0..10_000 {
            if round.len() as u64 == wanted {
                break;
            }
            let fault = self.fault(dice);
            let wanted = only.is_none_or(|only| fault.to_string().contains(only));
            // Servers that agree on a new primary are left to do so.
            let is_apart = !fault.is_fail_over() || round.is_empty();
            if wanted && is_apart && subjects.insert(fault.subject()) {
                let begins_after = if round.is_empty() { Duration::ZERO } else { dice.up_to(Duration::from_secs(2)) };
                let lasts = duration(&fault, dice);
                let stops = fault.is_fail_over();
                round.push(Planned { fault, begins_after, lasts });
                if stops {
                    break;
                }
            }
        }
        round
    }

    fn fault(&self, dice: &mut Dice) -> Fault {
        let any_of = |names: &[&'static str], dice: &mut Dice| names[dice.below(names.len() as u64) as usize];
        let how = |dice: &mut Dice| LinkFault::ALL[dice.below(LinkFault::ALL.len() as u64) as usize];
        match dice.below(100) {
            0..14 => Fault::Kill(any_of(&NAMES[..6], dice)),
            14..24 => Fault::Stop(any_of(&NAMES, dice)),
            24..27 => Fault::Roll(any_of(&NAMES[..6], dice)),
            27..32 => Fault::Files(any_of(&NAMES[..6], dice)),
            32..36 => {
                let seconds = [5, 70, 400, -5, -70, -400][dice.below(6) as usize];
                Fault::Skew(any_of(&NAMES[..6], dice), seconds)
            }
            36..74 => match self.link(dice) {
                (from, "redis") if self.redis == RedisKind::Sentinel => {
                    Fault::Door { nth: 0, from: Some(from), how: how(dice) }
                }
                (from, "redis") if self.redis == RedisKind::Cluster => {
                    Fault::Door { nth: dice.below(3) as usize, from: Some(from), how: how(dice) }
                }
                (from, to) => Fault::Link { from, to, how: how(dice) },
            },
            74..80 => {
                let to =
                    if self.redis == RedisKind::Single { any_of(&["redis", "postgres"], dice) } else { "postgres" };
                Fault::Links { to, how: how(dice) }
            }
            80..90 => self.redis_fault(dice),
            _ => self.postgres_fault(dice),
        }
    }

    /// A link of a service to a server or another service, or of shoppers to a service.
    fn link(&self, dice: &mut Dice) -> (&'static str, &'static str) {
        let mut links: Vec<(&'static str, &'static str)> = NAMES[..6].iter().map(|from| (*from, "redis")).collect();
        links.extend([CONTROLLERS, CHECKOUTS].concat().into_iter().map(|from| (from, "postgres")));
        links.extend(CHECKOUTS.map(|from| (from, GATEWAY)));
        links.extend(CHECKOUTS.into_iter().zip(CONTROLLERS));
        links.extend(CHECKOUTS.map(|to| (GATEWAY, to)));
        links.extend([WAITING_ROOMS, CHECKOUTS].concat().into_iter().map(|to| (SHOPPERS, to)));
        links[dice.below(links.len() as u64) as usize]
    }

    fn redis_fault(&self, dice: &mut Dice) -> Fault {
        let nth = if self.redis == RedisKind::Cluster { dice.below(3) as usize } else { 0 };
        let how = LinkFault::ALL[dice.below(LinkFault::ALL.len() as u64) as usize];
        match (self.redis, dice.below(10)) {
            (RedisKind::Sentinel, 0..2) => Fault::RedisFailOver(1),
            (RedisKind::Sentinel, 2..4) => Fault::RedisFailOver(2),
            (RedisKind::Sentinel, 4..7) => Fault::RedisTwoPrimaries,
            (RedisKind::Sentinel, 7) => Fault::RedisDiskFull(0),
            (RedisKind::Sentinel, 8) => Fault::RedisOutOfMemory(0),
            // Short ones, or the replica would take over in the middle of them.
            (RedisKind::Sentinel, _) => Fault::Door {
                nth: 0,
                from: None,
                how: [LinkFault::Cut, LinkFault::Reset, LinkFault::Slow][dice.below(3) as usize],
            },
            (RedisKind::Cluster, 8..10) => Fault::Door { nth, from: None, how },
            (_, 0..2) => Fault::RedisKill(nth),
            (_, 2) => Fault::RedisStop(nth),
            (_, 3) => Fault::RedisEmptied(nth),
            (_, 4..6) => Fault::RedisOlder(nth),
            (_, 6) => Fault::RedisDiskFull(nth),
            (RedisKind::Single, 7) => Fault::RedisReadOnly,
            _ => Fault::RedisOutOfMemory(nth),
        }
    }

    fn postgres_fault(&self, dice: &mut Dice) -> Fault {
        match (self.postgres, dice.below(12)) {
            (PostgresKind::Replicated, 0..=3) => Fault::PostgresFailOver,
            (PostgresKind::Replicated, 10..) => {
                // A standby waits without a limit for a connection that it has begun.
                let ways: Vec<LinkFault> = LinkFault::ALL.into_iter().filter(|how| !how.spoils_new_links()).collect();
                Fault::Replication { how: ways[dice.below(ways.len() as u64) as usize] }
            }
            (_, 5..7) => Fault::PostgresStop,
            (_, 7..9) => Fault::PostgresReadOnly,
            (_, 9) => Fault::PostgresDiskFull,
            _ => Fault::PostgresKill,
        }
    }
}

/// Half a second to three seconds; now and then longer than deadlines, where that is what a fault
/// is about.
fn duration(fault: &Fault, dice: &mut Dice) -> Duration {
    let is_silent = matches!(
        fault.how(),
        Some(LinkFault::Stalled | LinkFault::Swallowed | LinkFault::OneWay { .. } | LinkFault::LostOneWay { .. })
    );
    let may_be_long = matches!(fault, Fault::Stop(_) | Fault::RedisStop(_) | Fault::PostgresStop)
        || is_silent && !matches!(fault, Fault::Door { from: None, .. });
    let at_once =
        matches!(fault.how(), Some(LinkFault::Cut | LinkFault::Reset | LinkFault::Dead | LinkFault::HalfClosed { .. }));
    if at_once || fault.is_fail_over() {
        // A fault of established connections ends as soon as they have broken.
        return Duration::from_millis(50);
    }
    if matches!(fault, Fault::Stop(_)) && dice.below(20) == 0 {
        return STOPPED_LONGEST;
    }
    if may_be_long && dice.below(25) == 0 {
        return LONGEST.0 + dice.up_to(LONGEST.1 - LONGEST.0);
    }
    Duration::from_millis(300) + dice.up_to(Duration::from_millis(2_200))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_one_plan_and_eight_have_every_kind_of_fault_and_a_thousand_in_all() {
        assert_eq!(ShopPlan::new(7, 12, None), ShopPlan::new(7, 12, None));
        let plans: Vec<ShopPlan> = (0..8).map(|seed| ShopPlan::new(seed, 24, None)).collect();
        let faults: Vec<&Planned> = plans.iter().flat_map(|plan| plan.rounds.iter().flatten()).collect();
        assert!(faults.len() > 1_000, "{}", faults.len());
        let kinds: BTreeSet<String> = faults.iter().map(|planned| planned.fault.kind()).collect();
        let servers = ["redis killed", "redis fail-over", "redis with two primaries", "redis from an older copy"];
        let others = ["kill", "stop", "files exhausted", "clock skew", "postgres fail-over", "postgres disk full"];
        for kind in servers.into_iter().chain(others) {
            assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
        }
        let stops = |planned: &Planned| matches!(planned.fault, Fault::Stop(_));
        let longest = |is: &dyn Fn(&Planned) -> bool| faults.iter().filter(|p| is(p)).map(|p| p.lasts).max();
        assert!(longest(&|planned| !stops(planned)) > Some(LONGEST.0));
        assert!(faults.iter().any(|planned| stops(planned) && planned.lasts == STOPPED_LONGEST));
    }

    #[test]
    fn every_eighth_seed_stops_one_service_for_longer_than_every_deadline_and_alone() {
        for seed in 0..32 {
            let plan = ShopPlan::new(seed, 24, None);
            let is_long = |planned: &Planned| planned.lasts > Duration::from_secs(60);
            let long: Vec<&Vec<Planned>> = plan.rounds.iter().filter(|round| round.iter().any(is_long)).collect();
            assert_eq!(long.len(), usize::from(seed % 8 == 6), "{plan}");
            for round in long {
                assert!(matches!(round[..], [Planned { fault: Fault::Stop(_), .. }]), "{plan}");
            }
        }
        let only_kills = ShopPlan::new(6, 24, Some("kill of"));
        assert!(only_kills.rounds.iter().flatten().all(|planned| planned.fault.kind() == "kill"), "{only_kills}");
    }

    #[test]
    fn eight_seeds_break_every_link_between_two_parts() {
        let plans = (0..8).map(|seed| ShopPlan::new(seed, 24, None));
        let broken: BTreeSet<String> =
            plans.flat_map(|plan| plan.rounds).flatten().map(|planned| planned.fault.subject()).collect();
        let webhooks = CHECKOUTS.map(|to| format!("{GATEWAY} to {to}"));
        let key_sets = CHECKOUTS.into_iter().zip(CONTROLLERS).map(|(from, to)| format!("{from} to {to}"));
        let replication = ["standby to postgres".to_owned()];
        for link in webhooks.into_iter().chain(key_sets).chain(replication) {
            assert!(broken.contains(&link), "{link} is not among {broken:?}");
        }
    }

    #[test]
    fn sixteen_seeds_combine_each_kind_of_sale_with_each_kind_of_redis() {
        let plans = (0..16).map(|seed| ShopPlan::new(seed, 0, None));
        let combined: BTreeSet<String> = plans.map(|plan| format!("{:?} {:?}", plan.redis, plan.sale)).collect();
        assert_eq!(combined.len(), 3 * 4, "{combined:?}");
        assert_eq!(ShopPlan::new(0, 0, None).sale, SaleKind::Plain);
    }

    #[test]
    fn a_redis_with_several_servers_is_cut_off_from_single_services_too() {
        for seed in [1, 3, 5, 7] {
            let plan = ShopPlan::new(seed, 24, None);
            let is_of_one = |planned: &Planned| matches!(planned.fault, Fault::Door { from: Some(_), .. });
            assert!(plan.rounds.iter().flatten().any(is_of_one), "{plan}");
        }
    }

    #[test]
    fn a_plan_shows_a_quiet_time_after_every_fourth_round_and_after_the_last() {
        let quiet = |rounds: usize| -> Vec<u64> {
            let plan = ShopPlan::new(7, rounds, None);
            (0..rounds).map(|nth| plan.quiet_after(nth).as_secs()).collect()
        };
        assert_eq!(quiet(6), [0, 0, 0, 16, 0, 16]);
        assert_eq!(quiet(24).iter().sum::<u64>(), 4 * 16 + 2 * 36);
        assert!(ShopPlan::new(7, 12, None).to_string().ends_with("\n  no faults for 36 s\n"));
    }

    #[test]
    fn simultaneous_faults_are_of_different_things() {
        for seed in 0..50 {
            for round in ShopPlan::new(seed, 12, None).rounds {
                let subjects: BTreeSet<String> = round.iter().map(|planned| planned.fault.subject()).collect();
                assert_eq!(subjects.len(), round.len());
            }
        }
    }
}
