-- Shoppers' accounts, and notifications to them.

CREATE TABLE accounts (
    -- Derived from the proven address or ID token with a key, so that a person has the same id
    -- again after being erased.
    id         uuid PRIMARY KEY,
    -- Where notifications go: an e-mail address, or a phone number that begins with a plus. Null:
    -- none was proven.
    address    text,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT accounts_address_is_bounded CHECK (octet_length(address) BETWEEN 3 AND 254)
);
-- Operators search for the orders of an address.
CREATE INDEX accounts_by_address ON accounts (address) WHERE address IS NOT NULL;
CREATE INDEX accounts_by_age ON accounts (seen_at);

-- Requested codes. The code is derived from the id with a key, and is not stored.
CREATE TABLE sign_ins (
    id         uuid PRIMARY KEY,
    address    text NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    done_at    timestamptz,
    CONSTRAINT sign_ins_address_is_bounded CHECK (octet_length(address) BETWEEN 3 AND 254)
);
CREATE INDEX sign_ins_by_address ON sign_ins (address, created_at);
CREATE INDEX sign_ins_by_age ON sign_ins (created_at);

-- A device that is signed in: a family of refresh tokens, of which the newest is valid.
CREATE TABLE sessions (
    id         uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sessions_by_account ON sessions (account_id);

CREATE TABLE refresh_tokens (
    -- SHA-256 of the token.
    digest     bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    CONSTRAINT refresh_tokens_digest_is_32_bytes CHECK (octet_length(digest) = 32)
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_age ON refresh_tokens (expires_at);

-- Notifications by e-mail, SMS or Web Push.
CREATE TABLE notifications (
    -- The occasion, such as the event and the order, so that each is sent once.
    subject     text PRIMARY KEY,
    account_id  uuid,
    -- The recipient; deleted when the notification has ended.
    address     text,
    content     jsonb NOT NULL,
    state       text NOT NULL DEFAULT 'waiting',
    attempts    integer NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL DEFAULT now(),
    -- Useless after this time.
    relevant_until timestamptz NOT NULL,
    error       text,
    -- The trace of its cause, as a W3C `traceparent`.
    traceparent text CHECK (length(traceparent) = 55),
    CONSTRAINT notifications_state_is_known CHECK (state IN ('waiting', 'sending', 'sent', 'unknown', 'given_up')),
    CONSTRAINT notifications_pending_have_an_address CHECK ((state IN ('waiting', 'sending')) = (address IS NOT NULL)),
    CONSTRAINT notifications_subject_is_bounded CHECK (octet_length(subject) BETWEEN 1 AND 200)
);
CREATE INDEX notifications_due ON notifications (due_at) WHERE state IN ('waiting', 'sending');
CREATE INDEX notifications_by_account ON notifications (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX notifications_ended ON notifications (due_at) WHERE state NOT IN ('waiting', 'sending');

-- Accounts to notify when their turn is near.
CREATE TABLE reminders (
    id         uuid PRIMARY KEY,
    line_id    uuid NOT NULL REFERENCES lines (id),
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    epoch      bigint NOT NULL,
    ordinal    bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at    timestamptz,
    CONSTRAINT reminders_one_per_line UNIQUE (line_id, account_id)
);
CREATE INDEX reminders_to_send ON reminders (line_id, epoch, ordinal) WHERE sent_at IS NULL;

-- Browsers that receive an account's push messages (Web Push, RFC 8030).
CREATE TABLE push_subscriptions (
    -- The URL of the browser's push service.
    endpoint   text PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- Messages are encrypted for this public key and secret (RFC 8291).
    p256dh     text NOT NULL,
    auth       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT push_subscriptions_are_bounded CHECK (octet_length(endpoint) <= 1000 AND octet_length(p256dh) = 87 AND octet_length(auth) = 22)
);
CREATE INDEX push_subscriptions_by_account ON push_subscriptions (account_id);
