//! State machines of holds and payments. No I/O and no clock; a transition that is not listed here
//! is rejected.

pub use fairline_sale::OrderStatus;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// A stored state that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a state")]
pub struct UnknownState(String);

fn unknown(word: &str) -> UnknownState {
    UnknownState(word.to_owned())
}

/// The state of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", parse_err_ty = UnknownState, parse_err_fn = unknown)]
pub enum HoldState {
    /// Yield mode only: its units are promised, and reserved when a payment begins.
    Promised,
    /// Its units are reserved.
    Held,
    /// Its units are sold.
    Paid,
    /// It expired, and its units were released.
    Expired,
    /// It was cancelled before it expired.
    Cancelled,
}

/// An event of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldEvent {
    /// It expires.
    Expire,
    /// The shopper or the merchant cancels it.
    Cancel,
    /// A payment begins, and units are free.
    Secure,
    /// Its payment failed. In yield mode, units are held for payments only.
    Release,
    /// It had expired, a payment came, and units are free.
    Renew,
    /// Its payment was captured.
    Pay,
}

impl HoldState {
    /// The state after `event`, or none if the transition is not permitted.
    #[must_use]
    pub fn after(self, event: HoldEvent) -> Option<Self> {
        match (self, event) {
            (Self::Promised | Self::Held, HoldEvent::Expire) => Some(Self::Expired),
            (Self::Promised | Self::Held, HoldEvent::Cancel) => Some(Self::Cancelled),
            (Self::Promised, HoldEvent::Secure) | (Self::Expired, HoldEvent::Renew) => Some(Self::Held),
            (Self::Held, HoldEvent::Release) => Some(Self::Promised),
            (Self::Held, HoldEvent::Pay) => Some(Self::Paid),
            (Self::Promised, HoldEvent::Release | HoldEvent::Renew | HoldEvent::Pay)
            | (Self::Held, HoldEvent::Secure | HoldEvent::Renew)
            | (
                Self::Expired,
                HoldEvent::Expire | HoldEvent::Cancel | HoldEvent::Secure | HoldEvent::Release | HoldEvent::Pay,
            )
            | (Self::Paid | Self::Cancelled, _) => None,
        }
    }

    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The state of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", parse_err_ty = UnknownState, parse_err_fn = unknown)]
pub enum PaymentState {
    /// The gateway is about to be called, or has not responded yet.
    Started,
    /// The gateway has authorised the amount.
    Authorised,
    /// The money is captured, and the order exists.
    Captured,
    /// The gateway has declined it.
    Declined,
    /// Nothing was charged, and nothing will be.
    Voided,
    /// The money was captured, but no unit was left: a refund is due.
    RefundDue,
    /// The money was refunded.
    Refunded,
}

/// An event of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentEvent {
    /// The gateway authorised the amount.
    Authorise,
    /// The gateway declined it.
    Decline,
    /// The gateway released the authorisation.
    Void,
    /// The gateway captured the money, and a unit is available.
    Capture,
    /// The gateway captured the money, and no unit is left.
    OweRefund,
    /// The gateway refunded the money.
    Refund,
}

/// The next step of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Request an authorisation from the gateway.
    Authorise,
    /// Secure the unit, then capture; without a unit, release the authorisation.
    SecureAndCapture,
    /// Refund the money.
    Refund,
    /// Nothing: it has ended.
    Nothing,
}

impl PaymentState {
    /// The state after `event`, or none if the transition is not permitted.
    #[must_use]
    pub fn after(self, event: PaymentEvent) -> Option<Self> {
        match (self, event) {
            (Self::Started, PaymentEvent::Authorise) => Some(Self::Authorised),
            (Self::Started, PaymentEvent::Decline) => Some(Self::Declined),
            (Self::Started | Self::Authorised, PaymentEvent::Void) => Some(Self::Voided),
            (Self::Authorised, PaymentEvent::Capture) => Some(Self::Captured),
            // Ours; or the money was captured at the gateway after the payment had ended here.
            (Self::Authorised | Self::Declined | Self::Voided, PaymentEvent::OweRefund) => Some(Self::RefundDue),
            (Self::RefundDue, PaymentEvent::Refund) => Some(Self::Refunded),
            (Self::Started, PaymentEvent::Capture | PaymentEvent::OweRefund | PaymentEvent::Refund)
            | (Self::Authorised, PaymentEvent::Authorise | PaymentEvent::Decline | PaymentEvent::Refund)
            | (
                Self::RefundDue,
                PaymentEvent::Authorise
                | PaymentEvent::Decline
                | PaymentEvent::Void
                | PaymentEvent::Capture
                | PaymentEvent::OweRefund,
            )
            | (
                Self::Declined | Self::Voided,
                PaymentEvent::Authorise
                | PaymentEvent::Decline
                | PaymentEvent::Void
                | PaymentEvent::Capture
                | PaymentEvent::Refund,
            )
            | (Self::Captured | Self::Refunded, _) => None,
        }
    }

    /// The next step of a payment in this state, regardless of which process left it there.
    #[must_use]
    pub fn next_step(self) -> NextStep {
        match self {
            Self::Started => NextStep::Authorise,
            Self::Authorised => NextStep::SecureAndCapture,
            Self::RefundDue => NextStep::Refund,
            Self::Captured | Self::Declined | Self::Voided | Self::Refunded => NextStep::Nothing,
        }
    }

    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The status of an order, from its hold, whether the hold has expired, and its newest payment.
#[must_use]
pub fn order_status(hold: HoldState, is_expired: bool, newest_payment: Option<PaymentState>) -> OrderStatus {
    match (hold, newest_payment) {
        (HoldState::Paid, _) => OrderStatus::Paid,
        (_, Some(PaymentState::Started | PaymentState::Authorised)) => OrderStatus::PaymentPending,
        (_, Some(PaymentState::RefundDue | PaymentState::Refunded)) => OrderStatus::Refunded,
        // Its units will be released, whether or not the sweeper has run yet.
        (HoldState::Promised | HoldState::Held, _) if is_expired => OrderStatus::Expired,
        (HoldState::Promised, _) => OrderStatus::Promised,
        (HoldState::Held, _) => OrderStatus::Held,
        (HoldState::Expired, _) => OrderStatus::Expired,
        (HoldState::Cancelled, _) => OrderStatus::Cancelled,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOLD_EVENTS: [HoldEvent; 6] =
        [HoldEvent::Expire, HoldEvent::Cancel, HoldEvent::Secure, HoldEvent::Release, HoldEvent::Renew, HoldEvent::Pay];
    const PAYMENT_EVENTS: [PaymentEvent; 6] = [
        PaymentEvent::Authorise,
        PaymentEvent::Decline,
        PaymentEvent::Void,
        PaymentEvent::Capture,
        PaymentEvent::OweRefund,
        PaymentEvent::Refund,
    ];

    #[test]
    fn the_states_are_those_of_the_schema() {
        let schema = include_str!("../../../migrations/0004_orders_and_payments.sql");
        let constraint = |name: &str| {
            let from = schema.rfind(name).expect("the constraint is there");
            let words = schema[from..].split_once("IN").expect("a list").1;
            words.split_once("))").expect("its end").0.matches('\'').count() / 2
        };
        assert_eq!(constraint("holds_state_is_known"), HoldState::VARIANTS.len());
        assert_eq!(constraint("payments_state_is_known"), PaymentState::VARIANTS.len());
        for state in HoldState::VARIANTS {
            assert!(schema.contains(&format!("'{}'", state.as_str())));
            assert_eq!(HoldState::try_from(state.as_str()), Ok(*state));
        }
        for state in PaymentState::VARIANTS {
            assert!(schema.contains(&format!("'{}'", state.as_str())));
            assert_eq!(PaymentState::try_from(state.as_str()), Ok(*state));
        }
        assert!(PaymentState::try_from("stolen").is_err());
    }

    #[test]
    fn the_status_of_an_order_follows_its_hold_and_payment() {
        use {HoldState as H, OrderStatus as O, PaymentState as P};
        for (hold, is_expired, payment, status) in [
            (H::Held, false, None, O::Held),
            (H::Held, false, Some(P::Declined), O::Held),
            (H::Held, false, Some(P::Voided), O::Held),
            (H::Held, true, None, O::Expired),
            (H::Promised, false, None, O::Promised),
            (H::Promised, false, Some(P::Declined), O::Promised),
            (H::Promised, true, Some(P::Voided), O::Expired),
            (H::Held, true, Some(P::Declined), O::Expired),
            (H::Held, true, Some(P::Started), O::PaymentPending),
            (H::Held, false, Some(P::Authorised), O::PaymentPending),
            (H::Expired, true, Some(P::Authorised), O::PaymentPending),
            (H::Expired, true, None, O::Expired),
            (H::Expired, true, Some(P::Voided), O::Expired),
            (H::Expired, true, Some(P::RefundDue), O::Refunded),
            (H::Expired, true, Some(P::Refunded), O::Refunded),
            (H::Paid, true, Some(P::Captured), O::Paid),
            (H::Cancelled, false, None, O::Cancelled),
            (H::Cancelled, true, Some(P::Declined), O::Cancelled),
            (H::Cancelled, true, Some(P::RefundDue), O::Refunded),
        ] {
            assert_eq!(order_status(hold, is_expired, payment), status, "{hold:?} {is_expired} {payment:?}");
        }
    }

    #[test]
    fn unlisted_transitions_are_rejected() {
        use {HoldEvent as HE, HoldState as H, PaymentEvent as PE, PaymentState as P};
        let holds = [
            (H::Promised, HE::Expire, H::Expired),
            (H::Promised, HE::Cancel, H::Cancelled),
            (H::Promised, HE::Secure, H::Held),
            (H::Held, HE::Expire, H::Expired),
            (H::Held, HE::Cancel, H::Cancelled),
            (H::Held, HE::Release, H::Promised),
            (H::Held, HE::Pay, H::Paid),
            (H::Expired, HE::Renew, H::Held),
        ];
        for &state in H::VARIANTS {
            for event in HOLD_EVENTS {
                let legal = holds.iter().find(|(from, by, _)| (*from, *by) == (state, event)).map(|(.., to)| *to);
                assert_eq!(state.after(event), legal, "{state:?} {event:?}");
            }
        }
        let payments = [
            (P::Started, PE::Authorise, P::Authorised),
            (P::Started, PE::Decline, P::Declined),
            (P::Started, PE::Void, P::Voided),
            (P::Authorised, PE::Capture, P::Captured),
            (P::Authorised, PE::Void, P::Voided),
            (P::Authorised, PE::OweRefund, P::RefundDue),
            (P::Declined, PE::OweRefund, P::RefundDue),
            (P::Voided, PE::OweRefund, P::RefundDue),
            (P::RefundDue, PE::Refund, P::Refunded),
        ];
        for &state in P::VARIANTS {
            for event in PAYMENT_EVENTS {
                let legal = payments.iter().find(|(from, by, _)| (*from, *by) == (state, event)).map(|(.., to)| *to);
                assert_eq!(state.after(event), legal, "{state:?} {event:?}");
            }
        }
    }

    proptest! {
        /// Promise 6, within the state machine: only `captured` keeps money, only `authorised`
        /// leads there, and no ended payment does. Money that was captured without a unit ends as
        /// `refunded` only.
        #[test]
        fn an_ended_payment_never_continues(events in proptest::collection::vec(prop::sample::select(&PAYMENT_EVENTS[..]), 0..40)) {
            let mut state = PaymentState::Started;
            let mut moves = 0;
            for event in events {
                let Some(next) = state.after(event) else { continue };
                moves += 1;
                prop_assert_ne!(next, PaymentState::Started);
                prop_assert!(state.next_step() != NextStep::Nothing || next == PaymentState::RefundDue, "{:?} had ended", state);
                if next == PaymentState::Captured {
                    prop_assert_eq!(state, PaymentState::Authorised);
                }
                if state == PaymentState::RefundDue {
                    prop_assert_eq!(next, PaymentState::Refunded);
                }
                state = next;
            }
            prop_assert!(moves <= 4);
        }

        /// Only a hold with its unit is sold, and a sold unit is never released.
        #[test]
        fn a_paid_hold_never_changes(
            is_yield in any::<bool>(),
            events in proptest::collection::vec(prop::sample::select(&HOLD_EVENTS[..]), 0..40),
        ) {
            let (mut state, mut units) = if is_yield { (HoldState::Promised, 0_i32) } else { (HoldState::Held, 1) };
            for event in events {
                let Some(next) = state.after(event) else { continue };
                prop_assert!(state != HoldState::Paid && state != HoldState::Cancelled);
                units += match event {
                    HoldEvent::Expire | HoldEvent::Cancel if state == HoldState::Promised => 0,
                    HoldEvent::Expire | HoldEvent::Cancel | HoldEvent::Release => -1,
                    HoldEvent::Secure | HoldEvent::Renew => 1,
                    HoldEvent::Pay => 0,
                };
                prop_assert!((0..=1).contains(&units));
                prop_assert!(event != HoldEvent::Pay || units == 1);
                state = next;
            }
            prop_assert_eq!(units == 1, matches!(state, HoldState::Held | HoldState::Paid));
        }
    }
}
