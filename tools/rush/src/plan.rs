//! Plans each shopper's actions: a pure function of the seed and the shopper's index.
//!
//! No I/O and no clock, so a rush can be repeated from its printed seed.

use std::{fmt, str::FromStr, time::Duration};

use fairline_shopper_model::{Visit, live_profile, live_visit};
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// What a simulated shopper does.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum ShopperModel {
    /// Waits, claims, redeems, pays.
    Buy,
    /// Claims the turn, lets the token expire, then tries it.
    LetExpire,
    /// Leaves the line explicitly.
    Leave,
    /// Drops the connection without leaving, and stays away past the turn or for ever.
    Disconnect,
    /// Drops the connection, returns within the grace period to the same place, then buys.
    Reconnect,
    /// Buys, and redeems the token repeatedly, also with another shopper's ticket.
    Replay,
    /// Tries forged tokens, then buys with the real one.
    Forge,
    /// Buys up to the limit, then joins again and tries to buy more.
    BuyAgain,
    /// Redeems, then cancels the order, or sends a payment and withdraws it or cancels the order;
    /// after a withdrawal it pays again.
    Cancel,
    /// Behaves like the simulated shoppers of the control law's benchmark: continues, leaves or
    /// falls silent at each step, at human speed.
    Visit,
}

/// The transport of a shopper's page.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Transport {
    /// A WebSocket.
    #[strum(serialize = "websocket")]
    WebSocket,
    /// Server-Sent Events.
    Sse,
    /// One JSON snapshot every few seconds.
    Poll,
}

/// The result of a shopper's first payment. After a decline, the shopper pays with a good card.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum FirstPayment {
    /// Succeeds at once.
    Visa,
    /// Declined.
    Declined,
    /// Succeeds after two seconds.
    Slow,
    /// Succeeds, but the response is lost.
    Timeout,
    /// The gateway fails once.
    Flaky,
    /// The bank requires authentication.
    Action,
}

impl FirstPayment {
    /// The gateway's test token.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            FirstPayment::Visa => "tok_visa",
            FirstPayment::Declined => "tok_declined",
            FirstPayment::Slow => "tok_slow",
            FirstPayment::Timeout => "tok_timeout",
            FirstPayment::Flaky => "tok_flaky",
            FirstPayment::Action => "tok_action",
        }
    }
}

/// A set of choices for which shares can be configured. Each has its name on the command line.
pub trait Choice: Copy + PartialEq + Into<&'static str> + VariantArray {
    /// The kind of choice, for error messages.
    const KIND: &'static str;

    /// The name on the command line.
    #[must_use]
    fn name(self) -> &'static str {
        self.into()
    }
}

impl Choice for ShopperModel {
    const KIND: &'static str = "shopper model";
}

impl Choice for Transport {
    const KIND: &'static str = "transport";
}

impl Choice for FirstPayment {
    const KIND: &'static str = "payment";
}

/// The shares of a crowd by choice, in parts of their sum: `buy=70,leave=30`. Choices that are not
/// listed get none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares<T>(Vec<(T, u32)>);

/// Invalid shares.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharesError {
    /// Not `name=parts`.
    #[error("`{0}` is not of the form name=parts, like buy=70")]
    Form(String),
    /// A name that is not among the choices.
    #[error("`{given}` is not a {kind}; there are {known}")]
    Unknown {
        /// The given name.
        given: String,
        /// The kind of choice.
        kind: &'static str,
        /// All valid names.
        known: String,
    },
    /// Not a whole number of parts.
    #[error("`{0}` is not a share: a whole number from 0 to 1000000")]
    Parts(String),
    /// A name that occurs twice.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// All shares are 0.
    #[error("all shares are 0, so no shopper would come")]
    Empty,
}

const PARTS_MAX: u32 = 1_000_000;

impl<T: Choice> FromStr for Shares<T> {
    type Err = SharesError;

    fn from_str(text: &str) -> Result<Self, SharesError> {
        let mut shares: Vec<(T, u32)> = Vec::with_capacity(T::VARIANTS.len());
        for item in text.split(',').map(str::trim) {
            let (name, parts) = item.split_once('=').ok_or_else(|| SharesError::Form(item.to_owned()))?;
            let Some(choice) = T::VARIANTS.iter().find(|known| known.name() == name.trim()) else {
                let known = T::VARIANTS.iter().map(|known| known.name()).collect::<Vec<_>>().join(", ");
                return Err(SharesError::Unknown { given: name.to_owned(), kind: T::KIND, known });
            };
            let parts = parts.trim().parse().ok().filter(|parts| *parts <= PARTS_MAX);
            let parts = parts.ok_or_else(|| SharesError::Parts(item.to_owned()))?;
            if shares.iter().any(|(known, _)| known == choice) {
                return Err(SharesError::Twice(name.to_owned()));
            }
            shares.push((*choice, parts));
        }
        if shares.iter().all(|(_, parts)| *parts == 0) {
            return Err(SharesError::Empty);
        }
        Ok(Shares(shares))
    }
}

impl<T: Choice> fmt::Display for Shares<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (choice, parts)) in self.0.iter().enumerate() {
            write!(f, "{}{}={parts}", if at == 0 { "" } else { "," }, choice.name())?;
        }
        Ok(())
    }
}

impl<T: Choice> Serialize for Shares<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T: Choice> Deserialize<'de> for Shares<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<T: Choice> Shares<T> {
    fn draw(&self, dice: &mut Dice) -> T {
        let sum: u64 = self.0.iter().map(|(_, parts)| u64::from(*parts)).sum();
        let mut left = dice.below(sum);
        for (choice, parts) in &self.0 {
            if left < u64::from(*parts) {
                return *choice;
            }
            left -= u64::from(*parts);
        }
        unreachable!("the draw is below the sum of all parts")
    }
}

/// The parameters of a crowd's plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrowdProfile {
    /// Shares of shopper models.
    pub mix: Shares<ShopperModel>,
    /// Shares of transports.
    pub transports: Shares<Transport>,
    /// Shares of payment results.
    pub payments: Shares<FirstPayment>,
    /// Time within which all shoppers arrive.
    pub arrive_within: Duration,
    /// Time after joining within which shoppers leave, disconnect or reconnect.
    pub act_within: Duration,
    /// Approximate time for which a shopper stays disconnected; half of them never return.
    pub disconnected: Duration,
    /// Maximum pause before each action in checkout.
    pub think_up_to: Duration,
    /// Percentage of `visit` shoppers who buy.
    pub chance_percent: u32,
    /// Speed relative to people.
    pub faster: u32,
}

/// The plan of one shopper.
#[derive(Debug, Clone, PartialEq)]
pub struct ShopperPlan {
    /// The shopper, from 0.
    pub index: u32,
    /// What the shopper does.
    pub model: ShopperModel,
    /// The page's transport.
    pub transport: Transport,
    /// The result of the first payment.
    pub payment: FirstPayment,
    /// Arrival time, from the start of the rush.
    pub arrives_after: Duration,
    /// When it leaves or disconnects, from joining.
    pub acts_after: Duration,
    /// How long it is away after that; `None` is for ever.
    pub away: Option<Duration>,
    /// The pauses before the redemption and before the payment.
    pub thinks: [Duration; 2],
    /// The source of its retry jitter.
    pub dice: Dice,
}

/// Maximum absence of a shopper who comes back: shorter than any claim window in use.
const COME_BACK_WITHIN: Duration = Duration::from_secs(3);

impl ShopperPlan {
    /// The plan of the shopper `index` of the rush `seed`.
    #[must_use]
    pub fn new(seed: u64, index: u32, profile: &CrowdProfile) -> ShopperPlan {
        let mut dice = Dice::new(seed, index);
        let model = profile.mix.draw(&mut dice);
        let transport = profile.transports.draw(&mut dice);
        let payment = profile.payments.draw(&mut dice);
        let arrives_after = dice.up_to(profile.arrive_within);
        let acts_after = dice.up_to(profile.act_within);
        let thinks = [dice.up_to(profile.think_up_to), dice.up_to(profile.think_up_to)];
        let forever = dice.below(2) == 0;
        let away = match model {
            ShopperModel::Disconnect if forever => None,
            ShopperModel::Disconnect => Some(profile.disconnected / 2 + dice.up_to(profile.disconnected)),
            _ => Some(dice.up_to(COME_BACK_WITHIN)),
        };
        ShopperPlan { index, model, transport, payment, arrives_after, acts_after, away, thinks, dice }
    }
}

impl CrowdProfile {
    /// The visit of the shopper with this ordinal. It depends on the place in the line, not on the
    /// shopper, so that a simulation can admit the same people in the same order.
    #[must_use]
    pub fn visit(&self, seed: u64, ordinal: u64) -> Visit {
        let (chance, faster) = (f64::from(self.chance_percent) / 100.0, f64::from(self.faster.max(1)));
        let at = u32::try_from(ordinal.saturating_sub(1)).unwrap_or(u32::MAX);
        live_visit(&live_profile(seed, chance, faster), seed, at)
    }
}

/// A small random generator (SplitMix64), independent of library versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dice(u64);

impl Dice {
    /// The generator of one shopper of one rush.
    #[must_use]
    pub fn new(seed: u64, index: u32) -> Dice {
        // Mixing before adding the index separates the shoppers of neighbouring seeds.
        let mut dice = Dice(seed);
        let start = dice.next();
        Dice(start.wrapping_add(u64::from(index)).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to `bound - 1`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Multiply and shift: the bias is below 2^-32 for every bound in use.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A duration from zero to `longest`.
    pub fn up_to(&mut self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.below(micros + 1))
    }

    /// 32 random bytes, for a forged key or id.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn profile(mix: &str) -> CrowdProfile {
        CrowdProfile {
            mix: mix.parse().unwrap(),
            transports: "websocket=90,sse=5,poll=5".parse().unwrap(),
            payments: "visa=1".parse().unwrap(),
            arrive_within: Duration::from_secs(5),
            act_within: Duration::from_secs(10),
            disconnected: Duration::from_secs(20),
            think_up_to: Duration::from_secs(1),
            chance_percent: 50,
            faster: 5,
        }
    }

    #[test]
    fn invalid_shares_have_a_reason() {
        let wrong = |text: &str| text.parse::<Shares<ShopperModel>>().unwrap_err().to_string();
        assert_eq!(wrong("buy"), "`buy` is not of the form name=parts, like buy=70");
        assert_eq!(wrong(""), "`` is not of the form name=parts, like buy=70");
        assert_eq!(
            wrong("by=70"),
            "`by` is not a shopper model; there are buy, let-expire, leave, disconnect, reconnect, replay, forge, buy-again, cancel, visit"
        );
        assert_eq!(wrong("buy=-1"), "`buy=-1` is not a share: a whole number from 0 to 1000000");
        assert_eq!(wrong("buy=4000000000"), "`buy=4000000000` is not a share: a whole number from 0 to 1000000");
        assert_eq!(wrong("buy=1,buy=2"), "`buy` is given twice");
        assert_eq!(wrong("buy=0,leave=0"), "all shares are 0, so no shopper would come");
    }

    #[test]
    fn shares_are_met_in_a_large_crowd() {
        let profile = profile("buy=70,let-expire=5,leave=5,disconnect=5,reconnect=10,replay=3,forge=2");
        let crowd: Vec<ShopperPlan> = (0..100_000).map(|index| ShopperPlan::new(7, index, &profile)).collect();
        for (model, parts) in &profile.mix.0 {
            let met = crowd.iter().filter(|plan| plan.model == *model).count();
            let wanted = *parts as usize * 1_000;
            assert!(met.abs_diff(wanted) < 400, "{model:?}: {met} of {wanted}");
        }
        let for_ever = crowd.iter().filter(|plan| plan.away.is_none()).count();
        assert!((2_000..3_000).contains(&for_ever), "{for_ever} stay disconnected for ever");
    }

    #[test]
    fn a_known_seed_gives_the_known_plan() {
        let profile = profile("buy=1,leave=1");
        assert_eq!(ShopperPlan::new(42, 3, &profile), ShopperPlan::new(42, 3, &profile));
        let first: Vec<u64> = (0..3).map(|index| Dice::new(42, index).next() % 1_000).collect();
        assert_eq!(first, [978, 174, 536], "an old seed must mean the old crowd");
    }

    proptest! {
        #[test]
        fn shares_survive_being_written_and_read(parts in proptest::collection::vec(0_u32..1_000, 10)) {
            prop_assume!(parts.iter().any(|part| *part > 0));
            let shares = Shares(ShopperModel::VARIANTS.iter().copied().zip(parts).collect());
            prop_assert_eq!(shares.to_string().parse::<Shares<ShopperModel>>().unwrap(), shares);
        }

        #[test]
        fn plans_stay_within_their_profile(seed: u64, index: u32) {
            let profile = profile("buy=1,disconnect=1,reconnect=1");
            let plan = ShopperPlan::new(seed, index, &profile);
            prop_assert!(plan.arrives_after <= profile.arrive_within);
            prop_assert!(plan.acts_after <= profile.act_within);
            prop_assert!(plan.thinks.iter().all(|thought| *thought <= profile.think_up_to));
            match (plan.model, plan.away) {
                (ShopperModel::Disconnect, Some(away)) => prop_assert!(away >= profile.disconnected / 2),
                (ShopperModel::Disconnect, None) => {}
                (_, away) => prop_assert!(away.is_some_and(|away| away <= COME_BACK_WITHIN)),
            }
        }

        #[test]
        fn a_share_of_zero_is_never_drawn(seed: u64, index: u32) {
            let plan = ShopperPlan::new(seed, index, &profile("buy=0,leave=1,forge=0"));
            prop_assert_eq!(plan.model, ShopperModel::Leave);
        }
    }
}
