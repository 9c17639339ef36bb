-- What is still to be settled with the payment gateway about a payment that has ended here: an intent that could still be confirmed,
-- or a refund or a dispute that the gateway has reported. Older processes ignore it.
ALTER TABLE payments
    -- When the gateway is asked next; null: there is nothing to settle.
    ADD COLUMN settle_at timestamptz,
    -- Counts what was reported, so that an answer to an older question does not clear a newer one.
    ADD COLUMN settle_no integer NOT NULL DEFAULT 0,
    -- The gateway's error code, where it refused the payment itself and not the shopper's card.
    ADD COLUMN rejected_as text,
    ADD CONSTRAINT payments_rejection_has_a_bound CHECK (octet_length(rejected_as) BETWEEN 1 AND 100);
CREATE INDEX payments_to_settle ON payments (settle_at) WHERE settle_at IS NOT NULL;
