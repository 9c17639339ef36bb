//! The waiting room's problem types.

fairline_server::problem_types! {
    INVALID_HANDSHAKE = BAD_REQUEST "invalid-handshake" "Bad WebSocket handshake" {
        merchant: "Use WebSocket version 13, or request `text/event-stream` or `application/json`.",
        operator: "Check that the proxy forwards the headers `Upgrade` and `Connection`.",
    }
    ORIGIN_NOT_ALLOWED = FORBIDDEN "origin-not-allowed" "Origin not allowed" {
        operator: "Add the shop's origin to FAIRLINE_ALLOWED_ORIGINS, or set FAIRLINE_PUBLIC_ORIGINS if the proxy rewrites the Host header.",
    }
    INVALID_ACCOUNT_TOKEN = UNAUTHORIZED "invalid-account-token" "No account" {
        shopper: "Sign in at the shop again.",
        merchant: "Send an account token for the shopper, signed with FAIRLINE_ACCOUNT_KEY and not expired.",
    }
    MISSING_TICKET = NOT_FOUND "missing-ticket" "No ticket" {
        shopper: "Join the line in this browser.",
    }
    NOT_INVITED = FORBIDDEN "not-invited" "By invitation only" {
        shopper: "Open the invitation's link, or join the general line.",
    }
    SALE_OVER = CONFLICT "sale-over" "The sale is over" {
        shopper: "The sale is sold out or closed. Choose another sale.",
    }
    SALE_NOT_FOUND = NOT_FOUND "sale-not-found" "No such sale" {
        shopper: "Check the link.",
        merchant: "`GET /api/flash-sales/active` lists the current sales.",
    }
}
