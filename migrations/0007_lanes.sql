-- Lanes: lines beside a sale's own that lead to the same stock. Whoever joins one needs an invitation, and it has its
-- share of the admissions. The sale's own line has the sale's id; its row is the lock of them all, and keeps what the
-- control law remembers.
ALTER TABLE lines
    ADD id uuid,
    ADD lane text,
    -- The part of the admissions that a lane gets while somebody waits in it; the rest is the sale's own line's.
    ADD share double precision,
    -- What a lane's invitations are signed with, and how many have been.
    ADD invitation_key bytea,
    ADD invitations bigint NOT NULL DEFAULT 0,
    DROP CONSTRAINT lines_pkey;
UPDATE lines SET id = sale_id;
ALTER TABLE lines
    ADD PRIMARY KEY (id),
    ADD CONSTRAINT lines_lane_is_unique UNIQUE NULLS NOT DISTINCT (sale_id, lane),
    ADD CONSTRAINT lines_lane_is_plain CHECK (lane ~ '^[a-z0-9](-?[a-z0-9]){0,31}$'),
    ADD CONSTRAINT lines_own_line_is_no_lane CHECK ((id = sale_id) = (lane IS NULL)),
    ADD CONSTRAINT lines_lanes_have_a_share CHECK ((lane IS NULL) = (share IS NULL)),
    ADD CONSTRAINT lines_share_is_a_part CHECK (share >= 0 AND share <= 1),
    ADD CONSTRAINT lines_lanes_have_a_key CHECK ((lane IS NULL) = (invitation_key IS NULL)),
    ADD CONSTRAINT lines_invitation_key_is_32_bytes CHECK (octet_length(invitation_key) = 32);

ALTER TABLE admissions ADD line_id uuid REFERENCES lines (id);
UPDATE admissions SET line_id = sale_id;
ALTER TABLE admissions ALTER line_id SET NOT NULL;
DROP INDEX admissions_one_live_per_ticket, admissions_by_ticket, admissions_to_publish, admissions_to_record;
CREATE UNIQUE INDEX admissions_one_live_per_ticket ON admissions (line_id, ordinal) WHERE state <> 'lapsed';
CREATE INDEX admissions_by_ticket ON admissions (line_id, ordinal);
CREATE INDEX admissions_to_publish ON admissions (line_id, issued_at) WHERE published_state IS DISTINCT FROM state;
CREATE INDEX admissions_to_record ON admissions (line_id, issued_at) WHERE recorded_state <> state;

ALTER TABLE record_entries DROP CONSTRAINT record_entries_sale_id_fkey;
ALTER TABLE record_entries RENAME sale_id TO line_id;
ALTER TABLE record_entries ADD FOREIGN KEY (line_id) REFERENCES lines (id);

-- Whoever holds a ticket of a visitor is the visitor, whichever line it is of.
DROP INDEX holds_by_visitor, orders_by_visitor;
CREATE INDEX holds_by_visitor ON holds (visitor);
CREATE INDEX orders_by_visitor ON orders (visitor);
