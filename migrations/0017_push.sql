-- Browsers that an account wants to be told in (Web Push, RFC 8030).
CREATE TABLE push_subscriptions (
    -- Where the browser's own company takes messages for it.
    endpoint   text PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- What messages to it are encrypted for (RFC 8291): its public key, and a secret.
    p256dh     text NOT NULL,
    auth       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT push_subscriptions_have_a_bound CHECK (octet_length(endpoint) <= 1000 AND octet_length(p256dh) = 87 AND octet_length(auth) = 22)
);
CREATE INDEX push_subscriptions_by_account ON push_subscriptions (account_id);
