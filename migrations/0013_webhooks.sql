-- Who is told over HTTP what happens.
CREATE TABLE webhooks (
    id            uuid PRIMARY KEY,
    url           text NOT NULL,
    -- What its messages are signed with.
    secret        bytea NOT NULL,
    -- The kinds of events that it hears of; none: all.
    kinds         text[] NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT now(),
    -- Since when nothing has come through, and why.
    failing_since timestamptz,
    last_error    text,
    -- When it was switched off, having failed for too long.
    off_at        timestamptz,
    CONSTRAINT webhooks_url_has_a_bound CHECK (octet_length(url) BETWEEN 8 AND 2000),
    CONSTRAINT webhooks_secret_is_long CHECK (octet_length(secret) BETWEEN 24 AND 64)
);

CREATE TABLE deliveries (
    webhook_id uuid NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    sale_id    uuid NOT NULL REFERENCES sales (id),
    number     bigint NOT NULL,
    body       text NOT NULL,
    state      text NOT NULL DEFAULT 'waiting',
    attempts   integer NOT NULL DEFAULT 0,
    due_at     timestamptz NOT NULL DEFAULT now(),
    -- An event is told to a webhook once, however often it is heard of.
    PRIMARY KEY (webhook_id, sale_id, number),
    CONSTRAINT deliveries_state_is_known CHECK (state IN ('waiting', 'delivered', 'given_up'))
);
CREATE INDEX deliveries_due ON deliveries (webhook_id, due_at) WHERE state = 'waiting';
CREATE INDEX deliveries_done ON deliveries (due_at) WHERE state <> 'waiting';
