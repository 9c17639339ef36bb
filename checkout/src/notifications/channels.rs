//! The configured channels, and the port that each of them implements.

use std::sync::Arc;

use fairline_server::StartError;
use futures_util::future::BoxFuture;

use crate::{
    accounts::account::Way,
    notifications::{
        message::{Message, SendError},
        sms::Sms,
        smtp::Smtp,
        web_push::{Push, PushServices},
    },
    settings::Settings,
};

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
        Ok(Self { mail, messages, push, push_services: Some(Arc::new(PushServices::new(&settings.push_services))) })
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

