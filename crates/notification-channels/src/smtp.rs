//! E-mail, over SMTP.

use std::time::Duration;

use fairline_server::{Secret, StartError};
use futures_util::future::BoxFuture;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};

use crate::message::{Channel, Message, SendError};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A mail server, over SMTP.
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    pub(crate) fn new(url: &Secret, from: &str) -> Result<Self, StartError> {
        let wrong = |_| {
            StartError::new(
                "Invalid mail server URL: write smtps://user:password@host, or smtp://host:25 inside your own network.",
            )
        };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose()).map_err(wrong)?;
        let wrong = |_| StartError::new(format!("Invalid e-mail sender `{from}`: write `Shop <shop@example.org>`."));
        Ok(Self { transport: transport.timeout(Some(CALL_TIMEOUT)).build(), from: from.parse().map_err(wrong)? })
    }

    async fn send(&self, about: &str, to: &str, message: &Message) -> Result<(), SendError> {
        let refused = |error: &dyn std::error::Error| SendError::Refused(error.to_string());
        let domain = self.from.email.domain();
        let mail = lettre::Message::builder()
            .from(self.from.clone())
            .to(to.parse().map_err(|error: lettre::address::AddressError| refused(&error))?)
            // The same id for the same notification, so that a recipient can recognise a duplicate.
            .message_id(Some(format!("<{}@{domain}>", about.replace('/', "."))))
            .header(AutoSubmitted)
            .subject(&message.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(message.text.clone())
            .map_err(|error| refused(&error))?;
        // Up to here, no failure leaves anything at the server.
        match self.transport.test_connection().await {
            Ok(true) => {}
            Ok(false) => return Err(SendError::NotNow("the mail server does not take mail now".to_owned())),
            Err(error) => return Err(SendError::NotNow(reason(&error))),
        }
        match self.transport.send(mail).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_transient() => Err(SendError::NotNow(reason(&error))),
            Err(error) if error.is_permanent() || error.is_client() => Err(SendError::Refused(reason(&error))),
            Err(error) => Err(SendError::Silent(reason(&error))),
        }
    }
}

/// The reply of a mail server, reduced to its code: the text may contain the recipient, and is
/// logged.
fn reason(error: &lettre::transport::smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("the mail server returned {code}"),
        None => error.to_string(),
    }
}

/// Marks the mail as automatic (RFC 3834), so that out-of-office replies are suppressed.
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl lettre::message::header::Header for AutoSubmitted {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        lettre::message::header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Channel for Smtp {
    fn send<'a>(&'a self, about: &'a str, to: &'a str, message: &'a Message) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.send(about, to, message))
    }
}
