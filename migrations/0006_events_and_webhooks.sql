-- Events for other systems: written in the transaction of their cause, relayed to a stream in
-- Redis, delivered to webhooks.

CREATE TABLE outbox (
    sale_id     uuid NOT NULL REFERENCES sales (id),
    -- The number of the last event in this row; `number_events` gives it.
    number      bigint NOT NULL,
    kind        text NOT NULL,
    -- One object for each event of the row, in order: redemptions that are committed together share
    -- a row.
    data        json NOT NULL,
    happened_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sale_id, number),
    CONSTRAINT outbox_numbers_cover_events CHECK (json_array_length(data) > 0 AND number >= json_array_length(data))
);
CREATE INDEX outbox_by_age ON outbox (happened_at);

-- The last relayed event of each sale.
CREATE TABLE relays (
    sale_id uuid PRIMARY KEY REFERENCES sales (id),
    number  bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE webhooks (
    id            uuid PRIMARY KEY,
    url           text NOT NULL,
    -- The key that signs its messages.
    secret        bytea NOT NULL,
    -- The kinds of events to deliver; empty: all.
    kinds         text[] NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT now(),
    -- Since when every delivery has failed, and the last error.
    failing_since timestamptz,
    last_error    text,
    -- When it was disabled, having failed for too long.
    disabled_at   timestamptz,
    CONSTRAINT webhooks_url_is_bounded CHECK (octet_length(url) BETWEEN 8 AND 2000),
    CONSTRAINT webhooks_secret_is_long CHECK (octet_length(secret) BETWEEN 24 AND 64)
);
CREATE TRIGGER webhooks_audit AFTER INSERT OR UPDATE OF disabled_at OR DELETE ON webhooks FOR EACH ROW
    EXECUTE FUNCTION audit_change('url', 'kinds', 'disabled_at');

CREATE TABLE deliveries (
    webhook_id uuid NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    sale_id    uuid NOT NULL REFERENCES sales (id),
    number     bigint NOT NULL,
    body       text NOT NULL,
    state      text NOT NULL DEFAULT 'waiting',
    attempts   integer NOT NULL DEFAULT 0,
    due_at     timestamptz NOT NULL DEFAULT now(),
    -- An event has one delivery to a webhook, however often it is read from the stream.
    PRIMARY KEY (webhook_id, sale_id, number),
    CONSTRAINT deliveries_state_is_known CHECK (state IN ('waiting', 'delivered', 'given_up'))
);
CREATE INDEX deliveries_due ON deliveries (webhook_id, due_at) WHERE state = 'waiting';
-- For counts by state, of each webhook.
CREATE INDEX deliveries_by_state ON deliveries (webhook_id, state, due_at) WHERE state <> 'waiting';
CREATE INDEX deliveries_done ON deliveries (due_at) WHERE state <> 'waiting';
