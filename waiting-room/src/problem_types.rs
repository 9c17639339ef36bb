//! The waiting room's problem types.

fairline_server::problem_types! {
    BAD_HANDSHAKE = BAD_REQUEST "bad-handshake" "Bad WebSocket handshake" {
        merchant: "Use WebSocket version 13, or request `text/event-stream` or `application/json`.",
        operator: "Check that the proxy forwards the headers `Upgrade` and `Connection`.",
    }
    FOREIGN_ORIGIN = FORBIDDEN "foreign-origin" "Origin not allowed" {
        operator: "Add the shop's origin to FAIRLINE_ALLOWED_ORIGINS, or set FAIRLINE_PUBLIC_ORIGINS if the proxy rewrites the Host header.",
    }
    NO_ACCOUNT = UNAUTHORIZED "no-account" "No account" {
        shopper: "Sign in at the shop again.",
        merchant: "Send an account token for the shopper, signed with FAIRLINE_ACCOUNT_KEY and not expired.",
    }
    NO_TICKET = NOT_FOUND "no-ticket" "No ticket" {
        shopper: "Join the line in this browser.",
    }
    NOT_INVITED = FORBIDDEN "not-invited" "By invitation only" {
        shopper: "Open the invitation's link, or join the general line.",
    }
    SALE_OVER = CONFLICT "sale-over" "The sale is over" {
        shopper: "The sale is sold out or closed. Choose another sale.",
    }
    UNKNOWN_SALE = NOT_FOUND "unknown-sale" "No such sale" {
        shopper: "Check the link.",
        merchant: "`GET /api/flash-sales/active` lists the current sales.",
    }
}
