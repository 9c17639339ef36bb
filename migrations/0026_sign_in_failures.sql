-- Attempts to sign in that have failed, by what was tried from where: whoever guesses has to wait, and nobody else. The columns
-- `failures` and `failed_at` of operators are not used any more.
CREATE TABLE sign_in_failures (
    -- SHA-256 of the name and the network that it was tried from.
    attempt   bytea PRIMARY KEY,
    failures  integer NOT NULL,
    failed_at timestamptz NOT NULL,
    CONSTRAINT sign_in_failures_attempt_is_32_bytes CHECK (octet_length(attempt) = 32)
);
CREATE INDEX sign_in_failures_by_age ON sign_in_failures (failed_at);
