//! Text messages, in Twilio's API: a form, whose response has the result.

use axum::{
    extract::{Form, State},
    http::StatusCode,
};
use serde::Deserialize;

use crate::{Notification, NotificationSandbox, SendScenario};

#[derive(Deserialize)]
pub(crate) struct TextMessage {
    #[serde(rename = "To")]
    to: String,
    #[serde(rename = "Body")]
    body: String,
}

pub(crate) async fn send(
    State(sandbox): State<NotificationSandbox>,
    Form(message): Form<TextMessage>,
) -> (StatusCode, &'static str) {
    let outcome = sandbox.outcome(&message.to);
    match outcome {
        SendScenario::Busy => {
            return (StatusCode::TOO_MANY_REQUESTS, r#"{"code":20429,"message":"Too many requests"}"#);
        }
        SendScenario::Rejected => {
            return (StatusCode::BAD_REQUEST, r#"{"code":21211,"message":"Invalid 'To' phone number"}"#);
        }
        SendScenario::Accepted | SendScenario::AcceptedLate | SendScenario::AcceptedSilently => {}
    }
    sandbox.keep(Notification { to: message.to, id: String::new(), subject: String::new(), text: message.body });
    match outcome {
        SendScenario::AcceptedSilently => {
            (StatusCode::INTERNAL_SERVER_ERROR, r#"{"code":20500,"message":"A failure on purpose"}"#)
        }
        _ => (StatusCode::CREATED, r#"{"sid":"SM00000000000000000000000000000000","status":"queued"}"#),
    }
}
