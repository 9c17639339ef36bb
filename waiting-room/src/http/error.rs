//! The waiting room's errors and their mapping to HTTP problems.

use std::ops::RangeInclusive;

use fairline_line::store::LineError;
use fairline_server::Problem;
use tracing::warn;

use crate::problem_types;

/// `Retry-After` of a full node, in seconds. Random, so that rejected shoppers do not return at
/// once.
const FULL_RETRY_S: RangeInclusive<u64> = 2..=10;

/// Why a shopper's request was rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RoomError {
    #[error("there is no such sale")]
    UnknownSale,
    #[error("there is no ticket, or not a genuine one")]
    NoTicket,
    #[error("the request has no account that the shop has signed")]
    NoAccount,
    #[error("the request has no invitation to the lane")]
    NotInvited,
    #[error("the sale is over")]
    SaleOver,
    #[error("the request comes from a page of another site")]
    ForeignOrigin,
    #[error("this node is full")]
    Full,
    #[error("the WebSocket handshake is not valid")]
    BadHandshake,
    #[error(transparent)]
    Line(#[from] LineError),
}

impl From<RoomError> for Problem {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::UnknownSale => Problem::new(&problem_types::UNKNOWN_SALE)
                .detail("Check the URL; `GET /api/flash-sales/active` lists the running and scheduled sales."),
            RoomError::NoTicket => Problem::new(&problem_types::NO_TICKET)
                .detail("This browser holds no ticket of this sale. Join the line first."),
            RoomError::NoAccount => Problem::new(&problem_types::NO_ACCOUNT)
                .detail("This line is for accounts of the shop, and the request's account is missing, invalid or expired. Sign in at the shop again."),
            RoomError::NotInvited => Problem::new(&problem_types::NOT_INVITED)
                .detail("This line is for invited shoppers, and the request has no valid invitation. The sale's own line is open to all."),
            RoomError::SaleOver => Problem::new(&problem_types::SALE_OVER)
                .detail("The sale is sold out or closed; its line accepts no more shoppers."),
            RoomError::ForeignOrigin => Problem::new(&problem_types::FOREIGN_ORIGIN)
                .detail("Only pages of this site, or of origins that the operator has allowed, may use the line. If this is the shop's own page, its proxy rewrites the Host header: the operator has to set FAIRLINE_PUBLIC_ORIGINS."),
            RoomError::BadHandshake => {
                Problem::new(&problem_types::BAD_HANDSHAKE).detail(
                    "Send a WebSocket handshake of version 13, or request text/event-stream or application/json.",
                )
            }
            RoomError::Full => {
                Problem::unavailable("This node is full. Places are kept; try again.")
                    .retry_after(rand::random_range(FULL_RETRY_S))
            }
            RoomError::Line(LineError::NotPublished) => {
                Problem::unavailable("The line is being restored. Places are kept; try again.").retry_after(1)
            }
            RoomError::Line(LineError::NoOrdinals) => {
                Problem::unavailable("The line accepts no new shoppers at this moment. Places are kept; try again.")
                    .retry_after(rand::random_range(FULL_RETRY_S))
            }
            RoomError::Line(error) => {
                warn!(%error, "call to the line failed");
                Problem::unavailable("The line can't be reached at this moment. Places are kept; try again.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fairline_snapshots::{every_variant, problem_bodies};
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn every_error_has_its_problem() {
        let errors = every_variant!(RoomError {
            UnknownSale,
            NoTicket,
            NoAccount,
            NotInvited,
            SaleOver,
            ForeignOrigin,
            Full,
            BadHandshake,
            Line(LineError::NotPublished),
        });
        let line_errors = every_variant!(LineError {
            NotPublished,
            NoOrdinals,
            Late,
            Unavailable("gone".to_owned()),
            Unexpected("nonsense".to_owned()),
        })
        .map(|(name, error)| (name, RoomError::Line(error)));
        assert_snapshot!("problems", problem_bodies(problem_types::ALL, errors.into_iter().chain(line_errors)));
    }
}
