//! The sale that is simulated.

use fairline_sale::{LineOrder, SaleCard, SaleId, SaleMode, Status};
use time::OffsetDateTime;

/// Its id.
pub const SALE: SaleId = SaleId(uuid::Uuid::from_u128(1));

/// The facts that shoppers see of it.
#[must_use]
pub fn card() -> SaleCard {
    SaleCard {
        id: SALE,
        slug: "simulated".to_owned(),
        name: "Simulated".to_owned(),
        description: String::new(),
        price_minor: 100,
        currency: "EUR".to_owned(),
        per_shopper_limit: 1,
        per_account_limit: None,
        total: 10,
        remaining: 10,
        status: Status::Open,
        opens_at: OffsetDateTime::UNIX_EPOCH,
        ends_at: None,
        rate_cap_per_s: 10.0,
        message: None,
        mode: SaleMode::Guarantee,
        order: LineOrder::Fifo,
        draw: None,
        lane: None,
        grace_s: None,
        rehearsal: false,
        look: Default::default(),
        record: None,
    }
}

/// A moment of the simulation, in ms since its start.
#[must_use]
pub fn moment(ms: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(ms)
}
