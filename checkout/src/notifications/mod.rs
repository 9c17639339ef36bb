//! Notifications to shoppers: their texts, and their delivery by e-mail, SMS and Web Push.

pub(crate) mod dispatcher;
pub(crate) mod notification;
pub(crate) mod store;
