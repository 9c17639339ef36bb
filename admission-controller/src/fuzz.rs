//! The parsers of this service that face the network, each as a function that `make fuzz` calls with any bytes.
//!
//! A target panics when a parser panics, or when its answer contradicts what the parser promises.

use serde::de::DeserializeOwned;

use crate::{
    admin::{self, lanes, operators, rehearsals, sessions, tickets, tokens, webhooks},
    operator::SessionKey,
};

/// A name, and a function that takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// The targets.
pub const TARGETS: &[Target] = &[
    ("create-sale-body", create_sale),
    ("change-sale-body", body::<admin::ChangeSale>),
    ("add-lane-body", body::<lanes::AddLane>),
    ("change-lane-body", body::<lanes::ChangeLane>),
    ("invite-body", body::<lanes::Invite>),
    ("add-operator-body", body::<operators::AddOperator>),
    ("change-operator-body", body::<operators::ChangeOperator>),
    ("enrol-body", body::<operators::Enrol>),
    ("operator-sign-in-body", body::<sessions::SignIn>),
    ("change-password-body", body::<sessions::ChangePassword>),
    ("admit-now-body", body::<tickets::AdmitNow>),
    ("move-ticket-body", body::<tickets::MoveTicket>),
    ("revoke-tokens-body", body::<tickets::RevokeTokens>),
    ("add-token-body", body::<tokens::AddToken>),
    ("add-webhook-body", body::<webhooks::AddWebhook>),
    ("rehearse-body", body::<rehearsals::Rehearse>),
    ("operator-session", operator_session),
];

fn body<T: DeserializeOwned>(bytes: &[u8]) {
    let _ = serde_json::from_slice::<T>(bytes);
}

fn create_sale(bytes: &[u8]) {
    let Ok(sale) = serde_json::from_slice::<admin::CreateSale>(bytes) else { return };
    if let Ok(new) = sale.checked() {
        assert!((1..=63).contains(&new.slug.len()) && new.total >= 0 && new.price_minor > 0, "a checked sale is valid");
    }
}

fn operator_session(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let key = SessionKey::from_cookie(text);
    let _ = (key.digest(), key.csrf());
}
