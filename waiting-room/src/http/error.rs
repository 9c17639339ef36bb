//! The waiting room's errors and their mapping to HTTP problems.

use std::ops::RangeInclusive;

use fairline_line::store::LineError;
use fairline_server::Problem;
use tracing::warn;

use crate::problem_types;

/// `Retry-After` of a full node, in seconds. Random, so that rejected shoppers do not all return at
/// the same time.
const FULL_RETRY_S: RangeInclusive<u64> = 2..=10;

/// Why a shopper's request was rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RoomError {
    #[error("there is no such sale")]
    SaleNotFound,
    #[error("there is no ticket, or not a genuine one")]
    NoTicket,
    #[error("the request has no valid account token of the shop")]
    NoAccount,
    #[error("the line is a lane, and the request has no valid invitation to it")]
    NotInvited,
    #[error("the sale is over")]
    SaleOver,
    #[error("the request comes from a page of another site")]
    ForeignOrigin,
    #[error("this node is full")]
    Full,
    #[error("the request is not a supported WebSocket handshake")]
    InvalidHandshake,
    #[error(transparent)]
    Line(#[from] LineError),
}

impl From<RoomError> for Problem {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::SaleNotFound => Problem::new(&problem_types::SALE_NOT_FOUND)
                .detail("Check the link, or view all current and upcoming sales."),
            RoomError::NoTicket => Problem::new(&problem_types::MISSING_TICKET)
                .detail("This browser has no ticket for this sale. Join the line to get one."),
            RoomError::NoAccount => Problem::new(&problem_types::INVALID_ACCOUNT_TOKEN)
                .detail("Only signed-in customers of the shop can join this line. Sign in at the shop, then open the line from there."),
            RoomError::NotInvited => Problem::new(&problem_types::NOT_INVITED)
                .detail("This line is for invited shoppers. Open the link in your invitation again, or join the general line."),
            RoomError::SaleOver => Problem::new(&problem_types::SALE_OVER)
                .detail("It is sold out or closed. View other sales."),
            RoomError::ForeignOrigin => Problem::new(&problem_types::ORIGIN_NOT_ALLOWED)
                .detail("Only pages of this site, or of origins that the operator has allowed, may use the line. If this is the shop's own page, its proxy rewrites the Host header: set FAIRLINE_PUBLIC_ORIGINS."),
            RoomError::InvalidHandshake => {
                Problem::new(&problem_types::INVALID_HANDSHAKE).detail(
                    "Send a WebSocket handshake of version 13, or request text/event-stream or application/json.",
                )
            }
            RoomError::Full => {
                Problem::unavailable("The waiting room is full. Try again in a few seconds; a place in line is kept.")
                    .retry_after(rand::random_range(FULL_RETRY_S))
            }
            RoomError::Line(LineError::NotPublished) => {
                Problem::unavailable("The line is being restored. Places are kept; try again in a moment.").retry_after(1)
            }
            RoomError::Line(LineError::NoOrdinals) => {
                Problem::unavailable("The line accepts no new shoppers right now. Places are kept; try again in a few seconds.")
                    .retry_after(rand::random_range(FULL_RETRY_S))
            }
            RoomError::Line(error) => {
                warn!(%error, "call line failed");
                Problem::unavailable("The line can't be reached right now. Places are kept; try again in a moment.").retry_after(1)
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
            SaleNotFound,
            NoTicket,
            NoAccount,
            NotInvited,
            SaleOver,
            ForeignOrigin,
            Full,
            InvalidHandshake,
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
