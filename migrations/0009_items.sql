-- Items: what a sale offers, each with a stock of its own. So far, every sale has one: item 1.
--
-- Lock order, everywhere: lines -> admissions -> holds -> payments -> stock -> sale_counters ->
-- allowances. Rows of one table are locked in the order of their keys. The rows of a stock and the
-- counters of its sale are the most contended ones: they are locked last and for the shortest time.

CREATE TABLE items (
    sale_id uuid NOT NULL REFERENCES sales (id),
    item    smallint NOT NULL,
    PRIMARY KEY (sale_id, item),
    CONSTRAINT items_number_is_bounded CHECK (item BETWEEN 1 AND 200)
);
INSERT INTO items (sale_id, item) SELECT sale_id, 1 FROM stock;

-- What is counted for a sale as a whole.
CREATE TABLE sale_counters (
    sale_id   uuid PRIMARY KEY REFERENCES sales (id),
    -- Orders paid.
    orders    bigint NOT NULL DEFAULT 0,
    -- The number of the sale's last event.
    events    bigint NOT NULL DEFAULT 0,
    -- When an event was last numbered, to ten minutes: an exact time would add an index entry per
    -- event.
    active_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
INSERT INTO sale_counters (sale_id, orders, events, active_at) SELECT sale_id, orders, events, active_at FROM stock;
CREATE INDEX sale_counters_active ON sale_counters (active_at);

-- Numbers further events of a sale, and gives the last number. The counters stay locked until the
-- commit, so numbers have no gaps and follow the order of the commits. Statements that have waited
-- for a stock call this function, since its snapshot is newer than theirs: under their own, each
-- would have to find the newest version of the counters and check it again.
CREATE FUNCTION number_events(sale uuid, further bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
BEGIN
    UPDATE sale_counters SET events = events + further,
        active_at = CASE WHEN active_at < now() - interval '10 minutes' THEN now() ELSE active_at END
        WHERE sale_id = sale RETURNING events INTO STRICT last;
    RETURN last;
END $$;

DROP TRIGGER stock_sets_active_at ON stock;
DROP TRIGGER stock_increments_orders ON stock;
DROP FUNCTION set_active_at();
DROP FUNCTION increment_orders();
ALTER TABLE stock
    DROP COLUMN orders,
    DROP COLUMN events,
    DROP COLUMN active_at,
    ADD COLUMN item smallint NOT NULL DEFAULT 1,
    DROP CONSTRAINT stock_pkey,
    ADD PRIMARY KEY (sale_id, item),
    DROP CONSTRAINT stock_sale_id_fkey,
    ADD CONSTRAINT stock_is_of_an_item FOREIGN KEY (sale_id, item) REFERENCES items;
ALTER TABLE stock ALTER COLUMN item DROP DEFAULT;
