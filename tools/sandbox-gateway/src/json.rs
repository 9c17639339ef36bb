//! Intents, refunds and disputes in Stripe's format.

use serde_json::{Value, json};

use crate::processor::{Disputed, Intent, IntentState, Refund, Refunded};

/// An intent in Stripe's format, with its charge expanded.
pub(crate) fn to_json(intent: &Intent) -> Value {
    let Intent { id, status, amount, currency, payment, refunded, dispute } = intent;
    let word = match status {
        IntentState::RequiresAction => "requires_action",
        IntentState::RequiresCapture => "requires_capture",
        IntentState::Succeeded => "succeeded",
        IntentState::Canceled => "canceled",
        IntentState::Declined => "requires_payment_method",
    };
    let metadata = payment.as_ref().map_or_else(|| json!({}), |payment| json!({ "payment": payment }));
    let mut object = json!({
        "id": id,
        "object": "payment_intent",
        "status": word,
        "amount": amount,
        "currency": currency,
        "capture_method": "manual",
        "metadata": metadata,
        "client_secret": format!("{id}_secret_sandbox"),
        "latest_charge": null,
        "last_payment_error": null,
    });
    match status {
        IntentState::RequiresAction => object["next_action"] = json!({ "type": "use_stripe_sdk" }),
        IntentState::Declined => {
            object["last_payment_error"] = json!({ "type": "card_error", "code": "card_declined" });
        }
        IntentState::RequiresCapture | IntentState::Succeeded => {
            object["latest_charge"] = json!({
                "id": id.replacen("pi_", "ch_", 1),
                "object": "charge",
                "amount": amount,
                "refunded": intent.is_refunded(),
                "amount_refunded": refunded,
                "disputed": dispute.is_some(),
                "payment_intent": id,
            });
        }
        IntentState::Canceled => {}
    }
    object
}

/// A refund in Stripe's format.
pub(crate) fn refund_to_json(intent: &str, refund: &Refund) -> Value {
    let word = match refund.status {
        Refunded::Pending => "pending",
        Refunded::Succeeded => "succeeded",
        Refunded::Failed => "failed",
    };
    let mut metadata = json!({});
    for (name, value) in [("payment", &refund.payment), ("request", &refund.request)] {
        if let Some(value) = value {
            metadata[name] = json!(value);
        }
    }
    json!({
        "id": refund.id,
        "object": "refund",
        "status": word,
        "amount": refund.amount,
        "payment_intent": intent,
        "metadata": metadata,
    })
}

/// The dispute of an intent, in Stripe's format.
pub(crate) fn dispute_to_json(intent: &Intent) -> Option<Value> {
    let dispute = intent.dispute.as_ref()?;
    let word = match dispute.status {
        Disputed::NeedsResponse => "needs_response",
        Disputed::Won => "won",
        Disputed::Lost => "lost",
    };
    Some(json!({
        "id": dispute.id,
        "object": "dispute",
        "status": word,
        "amount": intent.amount,
        "currency": intent.currency,
        "reason": "fraudulent",
        "payment_intent": intent.id,
    }))
}
