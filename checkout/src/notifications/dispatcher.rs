//! The notification dispatcher sends each notification at most once, in the background.
//!
//! - A notification is stored before it is sent, under its subject, so that a repeated event
//!   creates only one.
//! - It is marked as being sent before a channel receives it. If the channel or this process then
//!   falls silent, it may have arrived and is not sent again.
//! - A temporary rejection is retried. An outdated notification is given up.

use std::{sync::Arc, time::Duration};

use fairline_events::EventStream;
use fairline_server::{Secret, StartError};
use fairline_telemetry::{Kind, Operation, Report, within};
use futures_util::future::{BoxFuture, join_all};
use http_body_util::Full;
use hyper::{Request, header};
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use rand::RngExt as _;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use crate::{
    Checkout,
    accounts::account::Way,
    db::StoreError,
    events::consumer as hearing,
    notifications::{
        notification::{Shop, Written},
        store::Letter,
        web_push::{Push, PushServices},
    },
    outbound::{HttpClient, web_address},
    settings::Settings,
};

const EVERY: Duration = Duration::from_millis(500);
/// A round that takes longer counts as stalled.
const STANDS_STILL: Duration = Duration::from_secs(120);
/// Notifications that one process sends at the same time.
const AT_ONCE: i64 = 16;
/// How long a channel may take for one notification.
const CARRIED_WITHIN: Duration = Duration::from_secs(20);
/// Pauses before the second and each further attempt, in seconds, ± 10 %. After the last one, the
/// notification is given up.
const AGAIN_AFTER_S: [f64; 7] = [5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 7200.0];

/// The outcome of sending a notification.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SendOutcome {
    /// The channel has accepted it.
    Arrived,
    /// The channel fell silent after it was sent.
    Perhaps(String),
    /// The channel rejects it for good, or the attempts are used up.
    Never(String),
    /// The channel rejects it for now.
    NotYet { why: String, again_after: Duration },
}

/// Why a channel has not confirmed a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SendError {
    /// The channel rejects it for good.
    Refused(String),
    /// The recipient no longer exists.
    Gone(String),
    /// The channel certainly does not have it.
    NotNow(String),
    /// The channel fell silent.
    Silent(String),
}

/// The port to mail servers, SMS providers and push services.
pub(crate) trait Channel: Send + Sync {
    /// Sends a notification to an address. `about` identifies it: the same value is repeated only
    /// after an attempt that certainly failed.
    fn carry<'a>(&'a self, about: &'a str, to: &'a str, letter: &'a Written) -> BoxFuture<'a, Result<(), SendError>>;
}

/// The configured channels.
#[derive(Clone, Default)]
pub(crate) struct Channels {
    mail: Option<Arc<dyn Channel>>,
    messages: Option<Arc<dyn Channel>>,
    push: Option<Arc<Push>>,
    push_services: Option<Arc<PushServices>>,
}

impl Channels {
    pub(crate) fn new(settings: &Settings) -> Result<Self, StartError> {
        let mail = match (&settings.smtp_url, &settings.mail_from) {
            (Some(url), Some(from)) => Some(Arc::new(Smtp::new(url, from)?) as Arc<dyn Channel>),
            (Some(_), None) => {
                return Err(StartError::new(
                    "E-mail needs a sender: set FAIRLINE_MAIL_FROM, such as `Shop <shop@example.org>`.",
                ));
            }
            (None, _) => None,
        };
        let messages = match (&settings.sms_url, &settings.sms_from) {
            (Some(url), Some(from)) => {
                Some(Arc::new(Sms::new(url, settings.sms_key.as_ref(), from)?) as Arc<dyn Channel>)
            }
            (Some(_), None) => {
                return Err(StartError::new("SMS needs a sender: set FAIRLINE_SMS_FROM, such as +15005550006."));
            }
            (None, _) => None,
        };
        let push = match (&settings.push_public_key, &settings.push_key, &settings.push_contact) {
            (Some(public), Some(private), Some(contact)) => Some(Arc::new(Push::new(public, private, contact)?)),
            (None, None, _) => None,
            _ => {
                return Err(StartError::new(
                    "Web Push needs a key pair and a contact: set FAIRLINE_PUSH_PUBLIC_KEY, FAIRLINE_PUSH_KEY and FAIRLINE_PUSH_CONTACT.",
                ));
            }
        };
        Ok(Self { mail, messages, push, push_services: Some(Arc::new(PushServices::new(&settings.push_makers))) })
    }

    /// The key that browsers subscribe with and the permitted push services; none if Web Push is
    /// not configured.
    pub(crate) fn push(&self) -> Option<(&Push, &PushServices)> {
        Some((self.push.as_deref()?, self.push_services.as_deref()?))
    }

    /// The channel for addresses of a kind.
    pub(crate) fn to(&self, way: Way) -> Option<&dyn Channel> {
        match way {
            Way::Mail => self.mail.as_deref(),
            Way::Phone => self.messages.as_deref(),
            Way::Push => self.push.as_deref().map(|push| push as &dyn Channel),
        }
    }

    /// Whether no channel is configured.
    pub(crate) fn are_none(&self) -> bool {
        self.mail.is_none() && self.messages.is_none() && self.push.is_none()
    }
}

/// Starts to consume events and to send notifications; ends with the process.
pub(crate) fn start(checkout: &Checkout, stream: EventStream, shop: Shop) {
    if checkout.channels.are_none() {
        return;
    }
    let store = checkout.store.clone();
    hearing::start(checkout, stream, hearing::LETTERS, move |events| {
        let store = store.clone();
        async move { store.note_letters(&events).await }
    });
    let known = checkout.clone();
    checkout.shutdown.keep("letters-sent", STANDS_STILL, move |stop| {
        let (checkout, shop) = (known.clone(), shop.clone());
        async move {
            let mut beat = interval(EVERY);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = beat.tick() => {}
                    () = stop.triggered() => return,
                }
                fairline_server::beat();
                if let Err(error) = send(&checkout, &shop).await {
                    metrics::counter!("checkout_post_failures_total").increment(1);
                    warn!(%error, "send notifications failed; they will be retried");
                }
            }
        }
    });
}

/// Sends due notifications in groups until none is left or the process stops.
async fn send(checkout: &Checkout, shop: &Shop) -> Result<(), StoreError> {
    loop {
        fairline_server::beat();
        let letters = checkout.store.take_letters(AT_ONCE).await?;
        let carried = letters.iter().map(|letter| within(letter.trace, carry(checkout, shop, letter)));
        for noted in join_all(carried).await {
            noted?;
        }
        if letters.len() < AT_ONCE as usize || checkout.shutdown.is_triggered() {
            return Ok(());
        }
    }
}

async fn carry(checkout: &Checkout, shop: &Shop, letter: &Letter) -> Result<(), StoreError> {
    let operation = Operation::begin(Kind::Client);
    let carrier = checkout.channels.to(letter.address.way());
    let carried = match (carrier, letter.matter.write(shop, checkout.account_key.as_ref())) {
        (Some(carrier), Some(written)) => {
            let carried = timeout(CARRIED_WITHIN, carrier.carry(&letter.about, letter.address.as_str(), &written));
            let late = |_| Err(SendError::Silent(format!("no answer within {} s", CARRIED_WITHIN.as_secs())));
            let carried = operation.run(carried).await.unwrap_or_else(late);
            if let Err(SendError::Gone(_)) = &carried {
                checkout.store.forget_subscription(&letter.address).await?;
            }
            judge(carried, letter.attempts, rand::rng().random())
        }
        (None, _) => SendOutcome::Never("no channel is configured for the address".to_owned()),
        (_, None) => SendOutcome::Never("render text failed".to_owned()),
    };
    let outcome = match &carried {
        SendOutcome::Arrived => "sent",
        SendOutcome::Perhaps(_) => "unknown",
        SendOutcome::Never(_) => "given_up",
        SendOutcome::NotYet { .. } => "again",
    };
    metrics::counter!("checkout_letters_total", "outcome" => outcome).increment(1);
    operation.end(outcome, carried != SendOutcome::Arrived, || Report::named("send a letter"));
    match &carried {
        SendOutcome::Arrived => info!(about = letter.about, "a letter was sent"),
        SendOutcome::Perhaps(why) | SendOutcome::Never(why) | SendOutcome::NotYet { why, .. } => {
            warn!(about = letter.about, why, outcome, "a letter was not sent");
        }
    }
    checkout.store.note_carried(letter, &carried).await
}

/// What follows from an attempt, given the number of attempts. `jitter` is from 0 to 1.
fn judge(carried: Result<(), SendError>, attempts: i32, jitter: f64) -> SendOutcome {
    match carried {
        Ok(()) => SendOutcome::Arrived,
        Err(SendError::Silent(why)) => SendOutcome::Perhaps(why),
        Err(SendError::Refused(why) | SendError::Gone(why)) => SendOutcome::Never(why),
        Err(SendError::NotNow(why)) => {
            let again_after = usize::try_from(attempts - 1).ok().and_then(|nth| AGAIN_AFTER_S.get(nth));
            match again_after {
                Some(seconds) => {
                    SendOutcome::NotYet { why, again_after: Duration::from_secs_f64(seconds * (0.9 + 0.2 * jitter)) }
                }
                None => SendOutcome::Never(why),
            }
        }
    }
}

/// A mail server, over SMTP.
struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    fn new(url: &Secret, from: &str) -> Result<Self, StartError> {
        let wrong = |_| {
            StartError::new(
                "Invalid mail server URL: write smtps://user:password@host, or smtp://host:25 inside your own network.",
            )
        };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose()).map_err(wrong)?;
        let wrong = |_| StartError::new(format!("Invalid e-mail sender `{from}`: write `Shop <shop@example.org>`."));
        Ok(Self { transport: transport.timeout(Some(CARRIED_WITHIN / 2)).build(), from: from.parse().map_err(wrong)? })
    }

    async fn carry(&self, about: &str, to: &str, letter: &Written) -> Result<(), SendError> {
        let refused = |error: &dyn std::error::Error| SendError::Refused(error.to_string());
        let domain = self.from.email.domain();
        let message = Message::builder()
            .from(self.from.clone())
            .to(to.parse().map_err(|error: lettre::address::AddressError| refused(&error))?)
            // The same id for the same notification, so that a recipient can recognise a duplicate.
            .message_id(Some(format!("<{}@{domain}>", about.replace('/', "."))))
            .header(AutoSubmitted)
            .subject(&letter.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text.clone())
            .map_err(|error| refused(&error))?;
        // Up to here, no failure leaves anything at the server.
        match self.transport.test_connection().await {
            Ok(true) => {}
            Ok(false) => return Err(SendError::NotNow("the mail server does not take mail now".to_owned())),
            Err(error) => return Err(SendError::NotNow(reason(&error))),
        }
        match self.transport.send(message).await {
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
        Some(code) => format!("the mail server answered {code}"),
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
    fn carry<'a>(&'a self, about: &'a str, to: &'a str, letter: &'a Written) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.carry(about, to, letter))
    }
}

/// An SMS provider with Twilio's API
/// (<https://www.twilio.com/docs/messaging/api/message-resource>), which other providers support,
/// too.
struct Sms {
    client: HttpClient,
    url: String,
    authorization: Option<Secret>,
    from: String,
}

impl Sms {
    fn new(url: &str, key: Option<&Secret>, from: &str) -> Result<Self, StartError> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let wrong = || StartError::new(format!("The SMS URL `{url}` is not an http:// or https:// URL."));
        web_address(url).ok_or_else(wrong)?;
        let authorization = key.map(|key| Secret::new(format!("Basic {}", STANDARD.encode(key.expose()))));
        Ok(Self {
            client: HttpClient::new(CARRIED_WITHIN / 2),
            url: url.to_owned(),
            authorization,
            from: from.to_owned(),
        })
    }

    async fn carry(&self, to: &str, letter: &Written) -> Result<(), SendError> {
        let body =
            if letter.link.is_empty() { letter.subject.clone() } else { format!("{} {}", letter.subject, letter.link) };
        let form = [("From", self.from.as_str()), ("To", to), ("Body", &body)];
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
                let why = format!("the SMS provider answered {}", answered.status.as_u16());
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
    fn carry<'a>(&'a self, _: &'a str, to: &'a str, letter: &'a Written) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.carry(to, letter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_surely_not_arrived_is_sent_again() {
        assert_eq!(judge(Ok(()), 1, 0.5), SendOutcome::Arrived);
        assert_eq!(judge(Err(SendError::Silent("…".to_owned())), 1, 0.5), SendOutcome::Perhaps("…".to_owned()));
        assert_eq!(judge(Err(SendError::Refused("no".to_owned())), 1, 0.5), SendOutcome::Never("no".to_owned()));
        let not_now = |attempts| judge(Err(SendError::NotNow("busy".to_owned())), attempts, 0.5);
        for (attempts, seconds) in (1..).zip(AGAIN_AFTER_S) {
            let again_after = Duration::from_secs_f64(seconds);
            assert_eq!(not_now(attempts), SendOutcome::NotYet { why: "busy".to_owned(), again_after });
        }
        assert_eq!(not_now(8), SendOutcome::Never("busy".to_owned()));
    }

    #[test]
    fn a_form_has_escapes() {
        assert_eq!(escaped("+49 a&b=ü"), "%2B49%20a%26b%3D%C3%BC");
    }
}
