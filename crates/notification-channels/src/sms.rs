//! Text messages, over an SMS provider's HTTP API.

use std::time::Duration;

use fairline_http_client::{HttpClient, web_address};
use fairline_server::{Secret, StartError};
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::{Request, header};

use crate::message::{Channel, Message, SendError};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// An SMS provider with Twilio's API
/// (<https://www.twilio.com/docs/messaging/api/message-resource>), which other providers support,
/// too.
pub(crate) struct Sms {
    client: HttpClient,
    url: String,
    authorization: Option<Secret>,
    from: String,
}

impl Sms {
    pub(crate) fn new(url: &str, key: Option<&Secret>, from: &str) -> Result<Self, StartError> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let wrong = || StartError::new(format!("The SMS URL `{url}` is not an http:// or https:// URL."));
        web_address(url).ok_or_else(wrong)?;
        let authorization = key.map(|key| Secret::new(format!("Basic {}", STANDARD.encode(key.expose()))));
        Ok(Self { client: HttpClient::new(CALL_TIMEOUT), url: url.to_owned(), authorization, from: from.to_owned() })
    }

    async fn send(&self, to: &str, message: &Message) -> Result<(), SendError> {
        let form = [("From", self.from.as_str()), ("To", to), ("Body", &message.sms())];
        let form: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let mut request = Request::post(&self.url).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization.expose());
        }
        let request =
            request.body(Full::from(form.join("&"))).map_err(|error| SendError::Refused(error.to_string()))?;
        match self.client.call(request).await {
            Ok(answered) if answered.status.is_success() => Ok(()),
            Ok(answered) => {
                let why = format!("the SMS provider returned {}", answered.status.as_u16());
                // The API has no idempotency keys, so a server error leaves the outcome unknown.
                Err(match answered.status.as_u16() {
                    429 | 503 => SendError::NotNow(why),
                    500..=599 => SendError::Silent(why),
                    _ => SendError::Refused(why),
                })
            }
            Err(unanswered) if unanswered.never_left => Err(SendError::NotNow(unanswered.why)),
            Err(unanswered) => Err(SendError::Silent(unanswered.why)),
        }
    }
}

/// Percent-encodes a form value (URL Standard, section 5.2).
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

impl Channel for Sms {
    fn send<'a>(&'a self, _: &'a str, to: &'a str, message: &'a Message) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.send(to, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_form_are_escaped() {
        assert_eq!(escaped("+49 a&b=ü"), "%2B49%20a%26b%3D%C3%BC");
    }
}
