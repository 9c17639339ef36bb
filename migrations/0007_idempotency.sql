-- Stored responses of requests with an `Idempotency-Key`: a repeated request gets the same
-- response.
CREATE TABLE answers (
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
    CONSTRAINT answers_scope_is_32_bytes CHECK (octet_length(scope) = 32),
    CONSTRAINT answers_request_is_32_bytes CHECK (octet_length(request) = 32),
    CONSTRAINT answers_key_has_a_bound CHECK (octet_length(key) BETWEEN 1 AND 255),
    CONSTRAINT answers_have_a_body CHECK ((status IS NULL) = (body IS NULL))
);
CREATE INDEX answers_by_age ON answers (started_at);
