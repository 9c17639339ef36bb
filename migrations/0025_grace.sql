-- Seconds for which a shopper who went silent keeps the place in this sale; where it is null, as long as the waiting rooms are set to.
ALTER TABLE sales ADD grace_s integer,
    ADD CONSTRAINT sales_grace_is_a_window CHECK (grace_s BETWEEN 1 AND 86400);

CREATE OR REPLACE TRIGGER sales_are_noted AFTER INSERT OR UPDATE ON sales FOR EACH ROW EXECUTE FUNCTION note_change(
    'slug', 'name', 'description', 'price_minor', 'currency', 'per_shopper_limit', 'per_account_limit', 'status', 'message',
    'rate_cap_per_s', 'token_ttl_s', 'claim_window_s', 'hold_s', 'recall_window_s', 'grace_s', 'opens_at', 'ends_at', 'line_order',
    'mode', 'risk', 'inside_max', 'like_sale', 'look', 'time_zone', 'total', 'rehearsal_of');
