//! Problem types of requests with an `Idempotency-Key`.

fairline_server::problem_types! {
    INVALID_IDEMPOTENCY_KEY = BAD_REQUEST "invalid-idempotency-key" "The Idempotency-Key is invalid" {
        merchant: "Send one key of 1 to 255 visible ASCII characters, such as a UUID.",
    }
    IDEMPOTENCY_KEY_REUSED = UNPROCESSABLE_ENTITY "idempotency-key-reused" "The Idempotency-Key was used before" {
        merchant: "Use a new key for each new request. This key was sent before with another body.",
    }
    IDEMPOTENT_REQUEST_IN_PROGRESS = CONFLICT "idempotent-request-in-progress" "The first request is in progress" {
        merchant: "Repeat the request with the same key after `Retry-After` to get its response.",
    }
    RESPONSE_NOT_REPLAYABLE = CONFLICT "response-not-replayable" "The response can't be repeated" {
        merchant: "The request succeeded, and its response held a secret that is not stored. If the response was lost, undo the request and send it with another key.",
    }
}
