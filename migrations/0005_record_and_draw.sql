-- In which order a line is served: by joining, or by a draw among those who joined before the opening. The seed of a draw is a
-- secret until the draw is made; its SHA-256 is published from the start.
ALTER TABLE sales
    ADD line_order text NOT NULL DEFAULT 'fifo',
    ADD seed bytea,
    ADD CONSTRAINT sales_line_order_is_known CHECK (line_order IN ('fifo', 'draw')),
    ADD CONSTRAINT sales_draws_have_a_seed CHECK ((line_order = 'draw') = (seed IS NOT NULL)),
    ADD CONSTRAINT sales_seed_is_32_bytes CHECK (octet_length(seed) = 32);

ALTER TABLE lines
    -- The ordinals of the running epoch lie above it.
    ADD above bigint NOT NULL DEFAULT 0,
    -- The draw, once it is made: the ordinals from 1 to `drawn` were shuffled with `draw_key`.
    ADD drawn bigint,
    ADD draw_key bytea,
    -- The last entry of the record; null for sales that were created before there was one.
    ADD record_seq bigint,
    ADD record_hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    -- What is in the record: changes of the line up to this one, the tickets in these runs (first, last, first, last …),
    -- and this status.
    ADD recorded_epoch integer NOT NULL DEFAULT 0,
    ADD recorded_rev bigint NOT NULL DEFAULT 0,
    ADD recorded_tickets bigint[] NOT NULL DEFAULT '{}',
    ADD recorded_status text NOT NULL DEFAULT 'scheduled',
    ADD CONSTRAINT lines_draw_has_a_key CHECK ((drawn IS NULL) = (draw_key IS NULL)),
    ADD CONSTRAINT lines_draw_key_is_32_bytes CHECK (octet_length(draw_key) = 32),
    ADD CONSTRAINT lines_record_hash_is_32_bytes CHECK (octet_length(record_hash) = 32);
ALTER TABLE lines ALTER record_seq SET DEFAULT 0;
UPDATE lines SET above = cursor;

-- What the record was last told of this admission.
ALTER TABLE admissions ADD recorded_state text NOT NULL DEFAULT 'promised';
CREATE INDEX admissions_to_record ON admissions (sale_id, issued_at) WHERE recorded_state <> state;

-- The record of each sale: a chain of hashes that anybody may read and replay.
CREATE TABLE record_entries (
    sale_id uuid NOT NULL REFERENCES sales (id),
    seq     bigint NOT NULL,
    hash    bytea NOT NULL,
    -- The exact text that was hashed.
    body    text NOT NULL,
    PRIMARY KEY (sale_id, seq),
    CONSTRAINT record_entries_count_from_one CHECK (seq > 0),
    CONSTRAINT record_entries_hash_is_32_bytes CHECK (octet_length(hash) = 32)
);

CREATE FUNCTION refuse_to_change_the_record() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries of a record are never changed' USING CONSTRAINT = 'record_entries_are_kept', ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER record_entries_are_kept BEFORE UPDATE OR DELETE ON record_entries
    FOR EACH ROW EXECUTE FUNCTION refuse_to_change_the_record();
