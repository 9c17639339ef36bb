-- Operators who are still to choose a password and to be given a secret for their codes, which then nobody else has seen.
CREATE TABLE enrolments (
    operator   text PRIMARY KEY REFERENCES operators (name) ON DELETE CASCADE,
    -- SHA-256 of the code.
    digest     bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT enrolments_digest_is_32_bytes CHECK (octet_length(digest) = 32),
    CONSTRAINT enrolments_are_different UNIQUE (digest)
);
