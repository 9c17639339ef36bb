-- What ticks need in order to cost nothing where there is nothing to do.
ALTER TABLE lines
    -- Of a sale's own line: the sale is closed, and Redis and the record have heard of all that happened in it. It is never
    -- ticked again.
    ADD settled boolean NOT NULL DEFAULT false,
    -- Likewise: the last time during which pages could not claim their turns, since Redis or all controllers were away.
    ADD away_from timestamptz,
    ADD away_till timestamptz;
UPDATE lines SET settled = true FROM sales WHERE sales.id = lines.sale_id AND lines.id = lines.sale_id AND status = 'closed'
    AND NOT EXISTS (SELECT FROM lines AS each WHERE each.sale_id = sales.id
        AND (published_status IS DISTINCT FROM status OR (record_seq IS NOT NULL AND recorded_status <> status)))
    AND NOT EXISTS (SELECT FROM admissions WHERE sale_id = sales.id
        AND (state = 'promised' OR published_state IS DISTINCT FROM state OR recorded_state <> state));
CREATE INDEX lines_to_tick ON lines (id) WHERE id = sale_id AND NOT settled;

-- A turn that lapsed through no fault of its shopper: it was revoked, or nobody could claim it. It is not counted among those
-- after which a ticket is not recalled again.
ALTER TABLE admissions ADD excused boolean NOT NULL DEFAULT false;
