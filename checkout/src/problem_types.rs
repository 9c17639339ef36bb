//! Checkout's problem types.

fairline_server::problem_types! {
    ACCOUNT_REQUIRED = UNAUTHORIZED "account-required" "This sale is for accounts only" {
        shopper: "Sign in, and continue. The time to pay keeps running.",
        merchant: "Send the shopper's account with the redemption.",
    }
    ACCOUNT_OVER_LIMIT = UNPROCESSABLE_ENTITY "account-over-limit" "The sale's limit per account is reached" {
        shopper: "Choose at most `left` units; at 0 the limit is reached.",
    }
    INVALID_ID_TOKEN = UNAUTHORIZED "invalid-id-token" "The ID token is not accepted" {
        shopper: "Sign in at the shop again.",
        merchant: "Send a token of the configured issuer, for the configured audience, that has not expired.",
        operator: "Check FAIRLINE_OIDC_ISSUER and FAIRLINE_OIDC_AUDIENCE.",
    }
    INVALID_ADMISSION_TOKEN = UNAUTHORIZED "invalid-admission-token" "The admission token is not accepted" {
        shopper: "Continue in the browser in which you waited in line.",
        merchant: "Send the token with the ticket cookie of the shopper to whom it was issued.",
    }
    INVALID_WEBHOOK = BAD_REQUEST "invalid-webhook" "Not a webhook of the payment gateway" {
        operator: "Set FAIRLINE_WEBHOOK_SECRETS to the gateway's signing secret, and check the clock.",
    }
    ORIGIN_NOT_ALLOWED = FORBIDDEN "origin-not-allowed" "Origin not allowed" {
        operator: "Add the shop's origin to FAIRLINE_ALLOWED_ORIGINS, or set FAIRLINE_PUBLIC_ORIGINS if the proxy rewrites the Host header.",
    }
    HOLD_EXPIRED = CONFLICT "hold-expired" "The hold has expired" {
        shopper: "Join the line again. Nothing was charged.",
    }
    SIGN_IN_CHANNEL_UNAVAILABLE = UNPROCESSABLE_ENTITY "sign-in-channel-unavailable" "This way to sign in is not available" {
        shopper: "Sign in another way.",
        operator: "Configure e-mail (FAIRLINE_SMTP_URL) or SMS (FAIRLINE_SMS_URL).",
    }
    PUSH_NOT_CONFIGURED = NOT_FOUND "push-not-configured" "Web Push is not configured" {
        operator: "Set FAIRLINE_PUSH_PUBLIC_KEY, FAIRLINE_PUSH_KEY and FAIRLINE_PUSH_CONTACT to enable it.",
    }
    REMINDER_UNAVAILABLE = CONFLICT "reminder-unavailable" "No reminder can be sent" {
        shopper: "Keep the page open.",
    }
    INVALID_MERCHANT_KEY = UNAUTHORIZED "invalid-merchant-key" "The merchant key is missing or wrong" {
        merchant: "Send `Authorization: Bearer` with the merchant key.",
        operator: "Set FAIRLINE_MERCHANT_KEY to enable the merchant API.",
    }
    ACCOUNTS_DISABLED = NOT_FOUND "accounts-disabled" "Accounts are disabled" {
        operator: "Set FAIRLINE_SIGN_IN_KEY to enable accounts.",
    }
    MISSING_ADMISSION_TOKEN = UNAUTHORIZED "missing-admission-token" "No admission token" {
        shopper: "Join the line to get a turn.",
        merchant: "Send `Authorization: Bearer` with the admission token.",
    }
    NO_UNIT_AVAILABLE = CONFLICT "no-unit-available" "Every unit is sold or being paid for" {
        shopper: "Nothing was charged. If another shopper's payment fails, a unit becomes free: try again until the time to pay is over.",
    }
    ORDER_NOT_CONFIRMED = CONFLICT "order-not-confirmed" "The order can't be confirmed now" {
        merchant: "See `order`: it was paid another way, a payment is in progress, or its units are sold. Refund the shopper.",
    }
    ORDER_NOT_CANCELLED = CONFLICT "order-not-cancelled" "The shopper can't cancel the order now" {
        shopper: "See `order`: it is paid, a payment is in progress, or it has expired.",
    }
    NOT_REFUNDABLE = CONFLICT "not-refundable" "The amount can't be refunded" {
        merchant: "Refund at most `left_minor`. An order that was paid at the shop is refunded there.",
    }
    NOT_SIGNED_IN = UNAUTHORIZED "not-signed-in" "Not signed in to a shopper account" {
        shopper: "Sign in.",
        merchant: "Send a valid access token; `POST /users/login/refresh` renews it.",
    }
    PAYMENT_NOT_WITHDRAWN = CONFLICT "payment-not-withdrawn" "The payment can't be withdrawn now" {
        shopper: "See `order`: the bank has approved the payment.",
    }
    ORDER_IN_PROGRESS = CONFLICT "order-in-progress" "An order is open" {
        shopper: "Pay for the order, cancel it, or wait until it expires; then erase the data.",
    }
    REFERENCE_REUSED = CONFLICT "reference-reused" "The reference belongs to another reservation" {
        merchant: "Use another reference: this one was used with another quantity.",
    }
    TOKEN_OF_OTHER_SALE = FORBIDDEN "token-of-other-sale" "The admission token is for another sale" {
        shopper: "Go back to the sale in whose line you waited.",
    }
    PAYMENT_DECLINED = PAYMENT_REQUIRED "payment-declined" "The payment was declined" {
        shopper: "Try again, or use another card. Nothing was charged.",
    }
    PAYMENT_REJECTED = CONFLICT "payment-rejected" "The shop can't accept this payment" {
        shopper: "Contact the shop. Nothing was charged.",
        operator: "The payment gateway rejects payments with any card: see `code`, the log, and the gateway's dashboard.",
    }
    QUANTITY_OVER_LIMIT = UNPROCESSABLE_ENTITY "quantity-over-limit" "The quantity is too large" {
        shopper: "Choose at most `limit` units.",
    }
    REFUND_IN_PROGRESS = CONFLICT "refund-in-progress" "A refund of this order is in progress" {
        merchant: "Wait until it has ended: `GET /api/orders/{id}` shows `refunded_minor`.",
    }
    SALE_NOT_OPEN = CONFLICT "sale-not-open" "The sale is not open" {
        shopper: "Wait for the opening, unless the sale was closed. Nothing was charged.",
    }
    SHOPPER_OVER_LIMIT = UNPROCESSABLE_ENTITY "shopper-over-limit" "The sale's limit per shopper is reached" {
        shopper: "Choose at most `left` units; at 0 the limit is reached.",
    }
    SESSION_ENDED = UNAUTHORIZED "session-ended" "The session has ended" {
        shopper: "Sign in again.",
        merchant: "Use each refresh token once: a second use ends the session.",
    }
    SOLD_OUT = CONFLICT "sold-out" "Sold out" {
        shopper: "Every unit is reserved or sold. A unit that becomes free goes to the next shopper in line.",
    }
    TOKEN_EXPIRED = GONE "token-expired" "The admission token has expired" {
        shopper: "Join the line again. Nothing was charged.",
        merchant: "Forward auth returns 401 instead of 410, since proxies accept no other status.",
    }
    TOKEN_USED = CONFLICT "token-used" "The admission token was used before" {
        shopper: "Continue with the order in `order`.",
    }
    INSUFFICIENT_STOCK = CONFLICT "insufficient-stock" "Too few units are free" {
        merchant: "Reserve at most `free` units.",
    }
    TOO_MANY_ATTEMPTS = TOO_MANY_REQUESTS "too-many-attempts" "Too many payments have failed" {
        shopper: "This order can't be paid any more. Cancel it, and join the line again. Nothing was charged.",
    }
    TOO_MANY_CODES = TOO_MANY_REQUESTS "too-many-codes" "Too many codes were requested" {
        shopper: "Use the newest code, or request another in an hour.",
    }
    ORDER_NOT_FOUND = NOT_FOUND "order-not-found" "No such order" {
        shopper: "Use the browser that ordered, or sign in: `GET /api/orders` lists your orders.",
    }
    PAYMENT_NOT_FOUND = NOT_FOUND "payment-not-found" "No such payment" {
        merchant: "Check the id: no payment or order has it, or it belongs to another shopper.",
    }
    SALE_NOT_FOUND = NOT_FOUND "sale-not-found" "No such sale" {
        shopper: "Check the link.",
        merchant: "`GET /api/flash-sales/active` lists the current sales.",
    }
    INVALID_CODE = UNAUTHORIZED "invalid-code" "The code is not accepted" {
        shopper: "Enter the newest code within 10 minutes. After five attempts, request another.",
    }
}
