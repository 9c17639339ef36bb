//! The configured channels, and the port that each of them implements.

use std::sync::Arc;

use clap::Args;
use fairline_server::{Secret, StartError};

use crate::{
    address::AddressKind,
    message::Channel,
    sms::Sms,
    smtp::Smtp,
    web_push::{Push, PushServices},
};

/// Settings of the channels.
#[derive(Debug, Clone, Default, Args)]
pub struct ChannelSettings {
    /// Mail server: smtps://user:password@host, or smtp://host:25 inside your own network.
    #[arg(long, env = "FAIRLINE_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<Secret>,
    /// Sender of e-mail: `Shop <shop@example.org>`.
    #[arg(long, env = "FAIRLINE_MAIL_FROM")]
    pub mail_from: Option<String>,
    /// SMS provider with Twilio's API:
    /// `https://api.twilio.com/2010-04-01/Accounts/AC…/Messages.json`
    #[arg(long, env = "FAIRLINE_SMS_URL")]
    pub sms_url: Option<String>,
    /// Account at the SMS provider, as user:password.
    #[arg(long, env = "FAIRLINE_SMS_KEY", hide_env_values = true)]
    pub sms_key: Option<Secret>,
    /// Number or name that sends SMS.
    #[arg(long, env = "FAIRLINE_SMS_FROM")]
    pub sms_from: Option<String>,
    /// VAPID key pair for Web Push: the public key, as `npx web-push generate-vapid-keys` prints
    /// it.
    #[arg(long, env = "FAIRLINE_PUSH_PUBLIC_KEY")]
    pub push_public_key: Option<String>,
    /// VAPID key pair for Web Push: the private key.
    #[arg(long, env = "FAIRLINE_PUSH_KEY", hide_env_values = true)]
    pub push_key: Option<Secret>,
    /// Contact for push services: a mailto: or https:// address.
    #[arg(long, env = "FAIRLINE_PUSH_CONTACT")]
    pub push_contact: Option<String>,
    /// Permitted push services, comma-separated: hosts, with a leading `*.` for all subdomains.
    #[arg(
        long,
        env = "FAIRLINE_PUSH_SERVICES",
        value_delimiter = ',',
        default_value = "fcm.googleapis.com,updates.push.services.mozilla.com,*.push.apple.com,*.notify.windows.com"
    )]
    pub push_services: Vec<String>,
}

/// The configured channels.
///
/// ```
/// use fairline_notification_channels::{Address, AddressKind, ChannelSettings, Channels};
///
/// let settings = ChannelSettings {
///     sms_url: Some("https://sms.example/messages".to_owned()),
///     sms_from: Some("Shop".to_owned()),
///     ..ChannelSettings::default()
/// };
/// let channels = Channels::new(&settings)?;
/// let phone = Address::phone("+49 30 901820").expect("a phone number");
/// assert!(channels.to(phone.kind()).is_some());
/// assert!(channels.to(AddressKind::Email).is_none());
/// # Ok::<(), fairline_server::StartError>(())
/// ```
#[derive(Clone, Default)]
pub struct Channels {
    mail: Option<Arc<dyn Channel>>,
    messages: Option<Arc<dyn Channel>>,
    push: Option<Arc<Push>>,
    push_services: Option<Arc<PushServices>>,
}

impl Channels {
    /// Opens the configured channels.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid or incomplete.
    pub fn new(settings: &ChannelSettings) -> Result<Self, StartError> {
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
        Ok(Self { mail, messages, push, push_services: Some(Arc::new(PushServices::new(&settings.push_services))) })
    }

    /// The key that browsers subscribe with and the permitted push services; none if Web Push is
    /// not configured.
    #[must_use]
    pub fn push(&self) -> Option<(&Push, &PushServices)> {
        Some((self.push.as_deref()?, self.push_services.as_deref()?))
    }

    /// The channel for addresses of a kind.
    #[must_use]
    pub fn to(&self, kind: AddressKind) -> Option<&dyn Channel> {
        match kind {
            AddressKind::Email => self.mail.as_deref(),
            AddressKind::Phone => self.messages.as_deref(),
            AddressKind::Push => self.push.as_deref().map(|push| push as &dyn Channel),
        }
    }

    /// Whether no channel is configured.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.mail.is_none() && self.messages.is_none() && self.push.is_none()
    }
}
