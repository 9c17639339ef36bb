-- What the payment gateway has told of, so that each message is taken once.
CREATE TABLE gateway_events (
    id       text PRIMARY KEY,
    heard_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT gateway_events_id_has_a_bound CHECK (octet_length(id) BETWEEN 1 AND 200)
);
CREATE INDEX gateway_events_by_age ON gateway_events (heard_at);
CREATE INDEX payments_by_reference ON payments (gateway_ref) WHERE gateway_ref IS NOT NULL;

-- What the shopper's page needs to prove who they are, while the payment waits for that.
ALTER TABLE payments ADD COLUMN client_secret text;
