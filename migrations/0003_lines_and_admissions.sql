-- Lines, the admissions from them, and the public record.

-- The controller's ledger of each line, which a new epoch of it in Redis is built from. A sale's
-- own line has the sale's id; its row is the lock of all lines of the sale, and keeps the state of
-- the control law. The other lines are lanes, which lead to the same stock.
CREATE TABLE lines (
    id               uuid PRIMARY KEY,
    sale_id          uuid NOT NULL REFERENCES sales (id),

    -- Of a lane: its name, its share of the admissions while it has waiting shoppers (the rest is
    -- the own line's), the key of its invitations, and how many were made.
    lane             text,
    share            double precision,
    invitation_key   bytea,
    invitations      bigint NOT NULL DEFAULT 0,

    -- Epoch 0: the line was not yet published to Redis.
    epoch            integer NOT NULL DEFAULT 0,
    epoch_began_at   timestamptz NOT NULL DEFAULT now(),
    -- The Redis process of the epoch, by its run_id; null before the first.
    home             text,
    -- Epochs begun in quick succession: the next ones come later, and grant less.
    rapid_epochs     integer NOT NULL DEFAULT 0,
    -- The ordinals of the epoch are above this.
    above            bigint NOT NULL DEFAULT 0,
    cursor           bigint NOT NULL DEFAULT 0,
    highest_ordinal  bigint NOT NULL DEFAULT 0,
    -- Redis gives ordinals up to this one only, so that an epoch after a loss of Redis starts above
    -- all ordinals that may have been given. An ordinal is thereby unique in a sale, over all its
    -- epochs.
    granted          bigint NOT NULL DEFAULT 0,
    -- After a loss of Redis: how many shoppers are expected back, and until when admissions wait
    -- for them.
    expected         bigint NOT NULL DEFAULT 0,
    recovers_until   timestamptz,

    -- The draw, once made: the ordinals from 1 to `drawn` were shuffled with `draw_key`.
    drawn            bigint,
    draw_key         bytea,

    -- Counts publications to Redis, so that a late message never undoes a later one.
    publication      bigint NOT NULL DEFAULT 0,
    -- The sale's status as last published.
    published_status text,
    -- Past turns of tickets below this one are yet to be published again; null: all are.
    republish_below     bigint,

    -- The last entry of the record; null for a sale without one.
    record_seq       bigint DEFAULT 0,
    record_hash      bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    -- What the record contains: changes of the line up to this one, the tickets in these runs
    -- (first, last, first, last …), and this status.
    recorded_epoch   integer NOT NULL DEFAULT 0,
    recorded_rev     bigint NOT NULL DEFAULT 0,
    recorded_tickets bigint[] NOT NULL DEFAULT '{}',
    recorded_status  text NOT NULL DEFAULT 'scheduled',

    ticked_at        timestamptz NOT NULL DEFAULT now(),
    last_decision    text,
    -- Visits up to this time are included in `memory`.
    observed_at      timestamptz NOT NULL DEFAULT now(),
    -- The control law's belief about visits at the first decision, and its state between decisions.
    prior            jsonb,
    memory           jsonb NOT NULL DEFAULT '{}',
    -- Tickets to admit at once, above the rate; of a sale's own line.
    admit_now        integer NOT NULL DEFAULT 0,
    -- The last period in which pages could not claim their turns, since Redis or all controllers
    -- were down.
    unreachable_from        timestamptz,
    unreachable_until       timestamptz,
    -- Of a sale's own line: the sale is closed, and Redis and the record have everything. It is not
    -- ticked again.
    settled          boolean NOT NULL DEFAULT false,

    -- Tickets given, and tickets admitted.
    joined           bigint NOT NULL DEFAULT 0,
    admitted         bigint NOT NULL DEFAULT 0,
    -- Waiting shoppers, and how many of them are connected, as of the last tick.
    waiting          bigint NOT NULL DEFAULT 0,
    present          bigint NOT NULL DEFAULT 0,
    -- The waiting-room nodes that were up as of the last tick, and before Redis lost the line. Once
    -- as many have presented the tickets of their shoppers, no connected shopper is missing.
    nodes            bigint NOT NULL DEFAULT 0,
    expected_nodes   bigint NOT NULL DEFAULT 0,

    CONSTRAINT lines_lane_is_unique UNIQUE NULLS NOT DISTINCT (sale_id, lane),
    CONSTRAINT lines_lane_is_plain CHECK (lane ~ '^[a-z0-9](-?[a-z0-9]){0,31}$'),
    CONSTRAINT lines_own_line_is_no_lane CHECK ((id = sale_id) = (lane IS NULL)),
    CONSTRAINT lines_lanes_have_a_share CHECK ((lane IS NULL) = (share IS NULL)),
    CONSTRAINT lines_share_is_a_fraction CHECK (share >= 0 AND share <= 1),
    CONSTRAINT lines_lanes_have_a_key CHECK ((lane IS NULL) = (invitation_key IS NULL)),
    CONSTRAINT lines_invitation_key_is_32_bytes CHECK (octet_length(invitation_key) = 32),
    CONSTRAINT lines_cursor_is_in_range CHECK (epoch >= 0 AND cursor >= 0 AND highest_ordinal >= cursor),
    CONSTRAINT lines_granted_covers_highest_ordinal CHECK (granted >= highest_ordinal),
    CONSTRAINT lines_expected_is_not_negative CHECK (expected >= 0),
    CONSTRAINT lines_draw_has_a_key CHECK ((drawn IS NULL) = (draw_key IS NULL)),
    CONSTRAINT lines_draw_key_is_32_bytes CHECK (octet_length(draw_key) = 32),
    CONSTRAINT lines_record_hash_is_32_bytes CHECK (octet_length(record_hash) = 32),
    CONSTRAINT lines_admit_now_is_not_negative CHECK (admit_now >= 0),
    CONSTRAINT lines_counters_are_not_negative CHECK (joined >= 0 AND admitted >= 0 AND waiting >= 0 AND present >= 0),
    CONSTRAINT lines_nodes_are_not_negative CHECK (nodes >= 0 AND expected_nodes >= 0)
) WITH (fillfactor = 50);
CREATE INDEX lines_to_tick ON lines (id) WHERE id = sale_id AND NOT settled;

CREATE TRIGGER lanes_audit AFTER INSERT OR UPDATE OF share, invitations ON lines FOR EACH ROW
    WHEN (NEW.lane IS NOT NULL) EXECUTE FUNCTION audit_change('lane', 'share', 'invitations');

CREATE TABLE admissions (
    -- Also the token's `jti`.
    id              uuid PRIMARY KEY,
    -- The order of admissions. `issued_at` does not give it: the database's clock may have been set
    -- back between two admissions of a ticket, and the older one would be published as the newest.
    number          bigint GENERATED ALWAYS AS IDENTITY,
    sale_id         uuid NOT NULL REFERENCES sales (id),
    line_id         uuid NOT NULL REFERENCES lines (id),
    epoch           integer NOT NULL,
    ordinal         bigint NOT NULL,
    visitor         bytea NOT NULL,
    quantity        integer NOT NULL,
    kid             text NOT NULL,
    state           text NOT NULL DEFAULT 'promised',
    issued_at       timestamptz NOT NULL,
    claim_by        timestamptz NOT NULL,
    claimed_at      timestamptz,
    expires_at      timestamptz NOT NULL,
    -- When its shopper gave the token back.
    left_at         timestamptz,
    -- It lapsed through no fault of its shopper: it was revoked, or could not be claimed. Such a
    -- turn does not count towards those after which a ticket is not recalled again.
    excused         boolean NOT NULL DEFAULT false,
    -- The state and the epoch as last published; the next tick publishes what a crash left out.
    published_state text,
    published_epoch integer NOT NULL DEFAULT 0,
    -- The state as last recorded.
    recorded_state  text NOT NULL DEFAULT 'promised',
    CONSTRAINT admissions_state_is_known CHECK (state IN ('promised', 'redeemed', 'lapsed')),
    CONSTRAINT admissions_quantity_is_positive CHECK (quantity > 0),
    CONSTRAINT admissions_visitor_is_16_bytes CHECK (octet_length(visitor) = 16)
);
-- A redemption writes a new version of the row into every index that includes it, so these are as
-- few and as partial as possible. A ticket has at most one admission that is outstanding or used;
-- after one that lapsed it may be recalled.
CREATE UNIQUE INDEX admissions_one_live_per_ticket ON admissions (line_id, ordinal) WHERE state <> 'lapsed';
CREATE INDEX admissions_lapsed ON admissions (line_id, ordinal) WHERE state = 'lapsed';
-- These begin with the sale, and their statements name it: while the statistics know of no promised
-- admission, the planner takes any of them, and may read all its rows.
CREATE INDEX admissions_promised ON admissions (sale_id, expires_at) WHERE state = 'promised';
-- Outstanding tokens of a shopper whose other turn has just used up the limit are withdrawn.
CREATE INDEX admissions_promised_by_visitor ON admissions (sale_id, visitor) WHERE state = 'promised';
CREATE INDEX admissions_claimed ON admissions (sale_id, claimed_at) WHERE claimed_at IS NOT NULL;
CREATE INDEX admissions_left ON admissions (sale_id, left_at) WHERE left_at IS NOT NULL;
-- What is to be published is nearly always to be recorded, too.
CREATE INDEX admissions_to_publish ON admissions (line_id, issued_at)
    WHERE published_state IS DISTINCT FROM state OR recorded_state <> state;
-- After a new epoch, which rewrites no admission.
CREATE INDEX admissions_live_to_publish ON admissions (sale_id, line_id, published_epoch) WHERE state = 'promised';
-- For retention: rows that still name a visitor, by age.
CREATE INDEX admissions_to_anonymise ON admissions (issued_at)
    WHERE visitor <> '\x00000000000000000000000000000000' AND state <> 'promised';

-- Tickets that an operator removed from a line, or had served before all others.
CREATE TABLE ticket_actions (
    line_id    uuid NOT NULL REFERENCES lines (id),
    ordinal    bigint NOT NULL,
    kind       text NOT NULL,
    -- Why it was removed: by an operator, or since its holder has reached the limit.
    reason     text NOT NULL DEFAULT 'operator',
    visitor    bytea NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    -- The record has it; and the turn of a preferred ticket has come.
    done       boolean NOT NULL DEFAULT false,
    -- It was published to Redis, and in which epoch.
    published  boolean NOT NULL DEFAULT false,
    published_epoch integer NOT NULL DEFAULT 0,
    PRIMARY KEY (line_id, ordinal, kind),
    CONSTRAINT ticket_actions_kind_is_known CHECK (kind IN ('removed', 'preferred')),
    CONSTRAINT ticket_actions_reason_is_known CHECK (reason IN ('operator', 'limit')),
    CONSTRAINT ticket_actions_visitor_is_16_bytes CHECK (octet_length(visitor) = 16)
);
CREATE INDEX ticket_actions_to_do ON ticket_actions (line_id) WHERE NOT done OR NOT published;
CREATE INDEX ticket_actions_to_publish ON ticket_actions (line_id, published_epoch) WHERE kind = 'removed';
CREATE INDEX ticket_actions_by_visitor ON ticket_actions (visitor) WHERE visitor <> '\x00000000000000000000000000000000';
CREATE INDEX ticket_actions_to_anonymise ON ticket_actions (at)
    WHERE visitor <> '\x00000000000000000000000000000000' AND (kind = 'removed' OR done);

-- The public record of each line: a chain of hashes.
CREATE TABLE record_entries (
    line_id uuid NOT NULL REFERENCES lines (id),
    seq     bigint NOT NULL,
    hash    bytea NOT NULL,
    -- The exact text that was hashed.
    body    text NOT NULL,
    PRIMARY KEY (line_id, seq),
    CONSTRAINT record_entries_seq_is_positive CHECK (seq > 0),
    CONSTRAINT record_entries_hash_is_32_bytes CHECK (octet_length(hash) = 32)
);

-- Entries are never changed, and deleted only with their sale, by retention.
CREATE FUNCTION reject_record_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (SELECT FROM lines JOIN sales ON sales.id = sale_id WHERE lines.id = OLD.line_id AND retention_state = 'deleting') THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'entries of a record are never changed' USING CONSTRAINT = 'record_entries_are_append_only', ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER record_entries_are_append_only BEFORE UPDATE OR DELETE ON record_entries
    FOR EACH ROW EXECUTE FUNCTION reject_record_change();
