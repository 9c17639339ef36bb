//! Problem types that every service answers.

crate::problem_types! {
    BODY_TOO_LARGE = PAYLOAD_TOO_LARGE "body-too-large" "The request body is too large" {
        merchant: "Send at most as many bytes as `detail` says: 16 KiB for most operations.",
    }
    INTERNAL = INTERNAL_SERVER_ERROR "internal" "Internal error" {
        shopper: "Try again. If it persists, contact the shop.",
        operator: "Read the service's log at level error, and report the bug.",
    }
    INVALID_ADDRESS = BAD_REQUEST "invalid-address" "The path or the query is not valid" {
        merchant: "Correct the parameter that `detail` names.",
    }
    INVALID_BODY = UNPROCESSABLE_ENTITY "invalid-body" "The request body is not valid" {
        merchant: "Correct the field that `field` and `detail` name.",
    }
    NOT_JSON = UNSUPPORTED_MEDIA_TYPE "not-json" "The request body is not JSON" {
        merchant: "Send the header `Content-Type: application/json`.",
    }
    TOO_MANY_REQUESTS = TOO_MANY_REQUESTS "too-many-requests" "Too many requests from this address" {
        shopper: "Wait as long as `Retry-After` says. A place in the line is kept.",
        operator: "If many shoppers share an address, check FAIRLINE_TRUSTED_PROXIES, then raise the limits (`*_RATE_PER_S`, `*_BURST`).",
    }
    UNAVAILABLE = SERVICE_UNAVAILABLE "unavailable" "Temporarily unavailable" {
        shopper: "Try again after `Retry-After`. Nothing was lost.",
        merchant: "Repeat the request with the same `Idempotency-Key` after `Retry-After`.",
        operator: "`/health/ready` and the service's log name the dependency that is down.",
    }
}
