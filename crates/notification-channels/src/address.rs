//! Addresses of recipients.

/// The longest e-mail address (RFC 5321, section 4.5.3.1).
const EMAIL_BYTES_MAX: usize = 254;

/// Where a notification is sent: an e-mail address in lower case, an E.164 phone number, or the
/// subscription of a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

/// The channel that an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// The push subscription of a browser.
    Push,
}

impl Address {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The channel that it belongs to.
    #[must_use]
    pub fn kind(&self) -> AddressKind {
        match self.0.as_bytes() {
            [b'+', ..] => AddressKind::Phone,
            [b'h', b't', b't', b'p', ..] if self.0.contains("://") => AddressKind::Push,
            _ => AddressKind::Email,
        }
    }

    /// Parses an e-mail address: a local part, `@`, and a domain with a dot. It does not prove that
    /// the mailbox exists.
    #[must_use]
    pub fn email(text: &str) -> Option<Self> {
        let email = text.trim().to_lowercase();
        let (local, domain) = email.rsplit_once('@')?;
        let is_plain =
            |part: &str| part.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"<>()[],;:\\\"@".contains(c));
        let is_one = (1..=64).contains(&local.len())
            && email.len() <= EMAIL_BYTES_MAX
            && is_plain(local)
            && is_plain(domain)
            && domain.split('.').count() > 1
            && domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
        is_one.then_some(Self(email))
    }

    /// Parses a phone number: a plus, the country code, and the rest. Spaces, hyphens and brackets
    /// are ignored.
    #[must_use]
    pub fn phone(text: &str) -> Option<Self> {
        let number: String = text.trim().chars().filter(|c| !" -().".contains(*c)).collect();
        let digits = number.strip_prefix('+')?;
        let is_one =
            (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        is_one.then_some(Self(number))
    }

    /// Wraps an address that was read from the database.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_normal_form() {
        let email = |text: &str| Address::email(text).map(|address| address.0);
        assert_eq!(email(" Ada.L+drop@Example.org ").as_deref(), Some("ada.l+drop@example.org"));
        for wrong in [
            "",
            "ada",
            "ada@",
            "@example.org",
            "ada@localhost",
            "a da@example.org",
            "a@b@c.org",
            "a@.org",
            "a@x..org",
            "a\n@x.org",
            "a@-x.org",
            "<a@x.org>",
        ] {
            assert_eq!(email(wrong), None, "{wrong}");
        }
        assert_eq!(email(&format!("{}@x.org", "a".repeat(65))), None);
        assert!(email(&format!("{}@x.org", "a".repeat(64))).is_some());
        let phone = |text: &str| Address::phone(text).map(|address| address.0);
        assert_eq!(phone("+49 (30) 901-820").as_deref(), Some("+4930901820"));
        for wrong in ["", "+", "030901820", "+0490901820", "+49x30901820", "+123456", "+1234567890123456"] {
            assert_eq!(phone(wrong), None, "{wrong}");
        }
    }
}
