-- What a sale that is long over has left behind may go: its orders, visits, record and samples. Of each sale its own row stays, with its
-- lines and its stock.

ALTER TABLE sales ADD rows_are text NOT NULL DEFAULT 'kept',
    ADD CONSTRAINT sales_rows_are_known CHECK (rows_are IN ('kept', 'going', 'gone')),
    ADD CONSTRAINT sales_keep_rows_until_they_are_closed CHECK (rows_are = 'kept' OR status = 'closed');
CREATE INDEX sales_rehearsed ON sales (created_at) WHERE rehearsal_of IS NOT NULL AND status = 'closed' AND rows_are = 'kept';
CREATE INDEX sales_over ON sales (created_at) WHERE rehearsal_of IS NULL AND status = 'closed' AND rows_are = 'kept';
CREATE INDEX sales_going ON sales (id) WHERE rows_are = 'going';

-- Entries of a record are never changed; they go with their sale.
CREATE OR REPLACE FUNCTION refuse_to_change_the_record() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (SELECT FROM lines JOIN sales ON sales.id = sale_id WHERE lines.id = OLD.line_id AND rows_are = 'going') THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'entries of a record are never changed' USING CONSTRAINT = 'record_entries_are_kept', ERRCODE = 'check_violation';
END $$;
