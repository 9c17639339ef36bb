-- How an order stands depends on its newest payment.
CREATE INDEX payments_by_hold ON payments (hold_id, created_at);

-- Whatever the gateway keeps, has taken or has given back can be found there again.
ALTER TABLE payments ADD CONSTRAINT payments_with_money_have_a_reference
    CHECK (state NOT IN ('authorised', 'captured', 'refund_due', 'refunded') OR gateway_ref IS NOT NULL);
