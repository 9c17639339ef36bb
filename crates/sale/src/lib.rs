//! The vocabulary of a sale that all services share: ids, status, amounts, and the card that
//! shoppers see.

mod admission_state;
mod card;
mod id;
mod order_request;
mod order_status;
mod price;
mod status;
mod theme;

pub use admission_state::AdmissionState;
pub use card::{DrawFacts, LaneFacts, LineOrder, RecordHead, SaleCard, SaleMode};
pub use id::{InvalidId, SaleId, VisitorId};
pub use order_request::{OrderRequestKind, OrderRequestState};
pub use order_status::OrderStatus;
pub use price::{
    MINOR_DIGITS, amount_from_gateway, decimals, gateway_amount, gateway_refuses, minor_units, price_text,
};
pub use status::{Status, presented_status};
pub use theme::{Colour, InvalidColour, InvalidTheme, Theme};
