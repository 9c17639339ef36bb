//! Notifications to shoppers: their texts, and their delivery by e-mail, SMS and Web Push.

pub(crate) mod channels;
pub(crate) mod dispatcher;
pub(crate) mod message;
pub(crate) mod notification;
pub(crate) mod sms;
pub(crate) mod smtp;
pub(crate) mod store;
pub(crate) mod web_push;
