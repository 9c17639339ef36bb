-- What a loop asks for is found by an index, however many sales and rows there ever were.

ALTER TABLE stock
    -- When an event of the sale was last numbered, to ten minutes: an exact time would give the index an entry for each event.
    ADD active_at timestamptz NOT NULL DEFAULT now(),
    -- Orders paid.
    ADD orders bigint NOT NULL DEFAULT 0;
UPDATE stock SET orders = (SELECT count(*) FROM orders WHERE orders.sale_id = stock.sale_id),
    active_at = coalesce((SELECT max(happened_at) FROM outbox WHERE outbox.sale_id = stock.sale_id),
        (SELECT least(now(), coalesce(ends_at, opens_at)) FROM sales WHERE sales.id = stock.sale_id));
CREATE INDEX stock_active ON stock (active_at);

-- Triggers, so that every version of the services keeps both. Their conditions spare nearly every call.
CREATE FUNCTION note_activity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.active_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER stock_notes_activity BEFORE UPDATE OF events ON stock FOR EACH ROW
    WHEN (NEW.events > OLD.events AND OLD.active_at < now() - interval '10 minutes') EXECUTE FUNCTION note_activity();
CREATE FUNCTION count_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.orders := OLD.orders + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER stock_counts_orders BEFORE UPDATE OF sold ON stock FOR EACH ROW
    WHEN (NEW.sold > OLD.sold) EXECUTE FUNCTION count_order();

-- The units of a sale's orders are counted from it alone.
CREATE INDEX orders_by_time ON orders (sale_id, paid_at) INCLUDE (quantity);
DROP INDEX orders_paid;

CREATE INDEX sales_running ON sales (id) WHERE status <> 'closed';
CREATE INDEX sales_by_age ON sales (created_at, id);
CREATE INDEX sales_rehearsals ON sales (rehearsal_of) WHERE rehearsal_of IS NOT NULL;
CREATE INDEX rehearsals_by_copy ON rehearsals (sale_id);

-- Rows that still lead to somebody, by age: retention finds those that are due, and nothing else.
CREATE INDEX payments_to_unlink ON payments (created_at)
    WHERE payment_method <> '' AND state NOT IN ('started', 'authorised', 'refund_due');
CREATE INDEX orders_to_unlink ON orders (paid_at)
    WHERE visitor <> '\x00000000000000000000000000000000' OR paid_as <> 'forgotten';
CREATE INDEX holds_to_unlink ON holds (created_at)
    WHERE state NOT IN ('promised', 'held') AND (visitor <> '\x00000000000000000000000000000000'
    OR account_id IS NOT NULL OR reserved_as <> 'forgotten ' || id::text);
CREATE INDEX admissions_to_unlink ON admissions (issued_at)
    WHERE visitor <> '\x00000000000000000000000000000000' AND state <> 'promised';
CREATE INDEX interventions_to_unlink ON interventions (at)
    WHERE visitor <> '\x00000000000000000000000000000000' AND (kind = 'removed' OR done);

-- A session ends with its last refresh token; those that had lost theirs before are forgotten once.
DELETE FROM sessions WHERE NOT EXISTS (SELECT FROM refresh_tokens WHERE session_id = sessions.id);
