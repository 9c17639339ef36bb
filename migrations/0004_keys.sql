-- Signing keys that must not be believed any more. Which keys there are, the controllers are told; which of them not to
-- use, they read here, so that one request to one of them is enough.
CREATE TABLE revoked_keys (
    kid        text PRIMARY KEY,
    revoked_at timestamptz NOT NULL DEFAULT now()
);
