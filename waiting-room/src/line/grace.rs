//! The grace period: how long a disconnected shopper keeps the place.

use std::time::Duration;

use fairline_sale::SaleCard;

use super::shoppers::Browser;

/// Grace periods by kind of browser.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grace {
    pub(crate) desktop: Duration,
    pub(crate) phone: Duration,
}

impl Grace {
    /// Returns the grace period of a shopper. If the sale sets its own, phones get proportionally
    /// more, as in the settings.
    pub(crate) fn of(self, card: &SaleCard, browser: Browser) -> Duration {
        match (card.grace_s, browser) {
            (None, Browser::Desktop) => self.desktop,
            (None, Browser::Phone) => self.phone,
            (Some(grace_s), Browser::Desktop) => Duration::from_secs(grace_s.into()),
            (Some(grace_s), Browser::Phone) => {
                self.phone * grace_s / u32::try_from(self.desktop.as_secs()).unwrap_or(1).max(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_keep_their_places_longer_in_proportion() {
        let grace = Grace { desktop: Duration::from_secs(120), phone: Duration::from_secs(300) };
        let mut card = SaleCard::clone(&crate::line::room::tests::room().card());
        let both =
            |card: &SaleCard| [Browser::Desktop, Browser::Phone].map(|browser| grace.of(card, browser).as_secs());
        assert_eq!(both(&card), [120, 300]);
        card.grace_s = Some(10);
        assert_eq!(both(&card), [10, 25]);
        card.grace_s = Some(86_400);
        assert_eq!(both(&card), [86_400, 216_000]);
    }
}
