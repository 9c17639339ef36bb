//! Text messages, in Twilio's API: a form, answered with the result.

use axum::{
    extract::{Form, State},
    http::StatusCode,
};
use serde::Deserialize;

use crate::{Fate, Letter, Post};

#[derive(Deserialize)]
pub(crate) struct Message {
    #[serde(rename = "To")]
    to: String,
    #[serde(rename = "Body")]
    body: String,
}

pub(crate) async fn send(State(post): State<Post>, Form(message): Form<Message>) -> (StatusCode, &'static str) {
    let fate = post.fate(&message.to);
    match fate {
        Fate::Busy => return (StatusCode::TOO_MANY_REQUESTS, r#"{"code":20429,"message":"Too many requests"}"#),
        Fate::Refused => return (StatusCode::BAD_REQUEST, r#"{"code":21211,"message":"Invalid 'To' phone number"}"#),
        Fate::Taken | Fate::TakenLate | Fate::TakenInSilence => {}
    }
    post.keep(Letter { to: message.to, id: String::new(), subject: String::new(), text: message.body });
    match fate {
        Fate::TakenInSilence => {
            (StatusCode::INTERNAL_SERVER_ERROR, r#"{"code":20500,"message":"A failure on purpose"}"#)
        }
        _ => (StatusCode::CREATED, r#"{"sid":"SM00000000000000000000000000000000","status":"queued"}"#),
    }
}
