-- What requests with an `Idempotency-Key` were answered: the same key has the same answer.
CREATE TABLE answers (
    -- A digest of what was asked for, and by whom.
    scope      bytea NOT NULL,
    key        text NOT NULL,
    -- A digest of the body.
    request    bytea NOT NULL,
    -- Null while the first request with the key is still under way.
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
