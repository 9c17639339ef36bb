-- Money of a captured payment that went back to its shopper, or that the bank has taken back, as the gateway counts it; and what
-- operators and the shop ask to be done with an order. Older processes ignore both.
ALTER TABLE payments
    ADD COLUMN refunded_minor bigint NOT NULL DEFAULT 0,
    -- Withdrawn by the bank, unless the dispute was won.
    ADD COLUMN disputed_minor bigint NOT NULL DEFAULT 0,
    -- How the newest dispute stands, in the gateway's word.
    ADD COLUMN dispute text,
    ADD CONSTRAINT payments_give_back_no_more_than_they_took
        CHECK (refunded_minor BETWEEN 0 AND amount_minor AND disputed_minor BETWEEN 0 AND amount_minor),
    ADD CONSTRAINT payments_dispute_has_a_bound CHECK (octet_length(dispute) BETWEEN 1 AND 60);

-- Whoever wants an order refunded or cancelled writes it here; a checkout does it, since only checkouts talk to the gateway.
CREATE TABLE order_requests (
    id           uuid PRIMARY KEY,
    order_id     uuid NOT NULL REFERENCES holds (id),
    sale_id      uuid NOT NULL REFERENCES sales (id),
    kind         text NOT NULL,
    -- Of a refund: how much; null: all that is left.
    amount_minor bigint,
    reason       text NOT NULL,
    requested_by text NOT NULL,
    state        text NOT NULL DEFAULT 'requested',
    -- Why it failed.
    error        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    -- When it is tried next.
    due_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT order_requests_kind_is_known CHECK (kind IN ('refund', 'cancel')),
    CONSTRAINT order_requests_state_is_known CHECK (state IN ('requested', 'done', 'failed')),
    CONSTRAINT order_requests_amount_is_positive CHECK (amount_minor IS NULL OR amount_minor > 0 AND kind = 'refund'),
    CONSTRAINT order_requests_reason_has_a_bound CHECK (char_length(reason) BETWEEN 1 AND 500)
);
-- One after the other, so that none is asked for twice by mistake.
CREATE UNIQUE INDEX order_requests_one_at_a_time ON order_requests (order_id) WHERE state = 'requested';
CREATE INDEX order_requests_due ON order_requests (due_at) WHERE state = 'requested';
CREATE INDEX order_requests_by_order ON order_requests (order_id, created_at);
CREATE INDEX order_requests_by_sale ON order_requests (sale_id);

CREATE TRIGGER order_requests_are_noted AFTER INSERT ON order_requests FOR EACH ROW
    EXECUTE FUNCTION note_change('kind', 'order_id', 'amount_minor');
