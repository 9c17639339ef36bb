-- Stored responses of requests with an `Idempotency-Key`: a repeated request gets the same
-- response.
CREATE TABLE idempotency_keys (
    -- SHA-256 of the path and the caller.
    scope      bytea NOT NULL,
    key        text NOT NULL,
    -- SHA-256 of the body.
    request    bytea NOT NULL,
    -- Null while the first request with the key is in progress.
    status     integer,
    body       text,
    started_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key),
    CONSTRAINT idempotency_keys_scope_is_32_bytes CHECK (octet_length(scope) = 32),
    CONSTRAINT idempotency_keys_request_is_32_bytes CHECK (octet_length(request) = 32),
    CONSTRAINT idempotency_keys_key_is_bounded CHECK (octet_length(key) BETWEEN 1 AND 255),
    CONSTRAINT idempotency_keys_body_matches_status CHECK ((status IS NULL) = (body IS NULL))
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (started_at);
