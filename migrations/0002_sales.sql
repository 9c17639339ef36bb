-- Sales, their items and stock.
--
-- Postgres is the ledger: everything that involves money is here. Redis holds the line only, which
-- can be rebuilt.
--
-- Lock order, everywhere: lines -> admissions -> holds -> payments -> stock -> sale_counters ->
-- allowances. Rows of one table are locked in the order of their keys. The rows of a stock and the
-- counters of its sale are the most contended ones: they are locked last and for the shortest time.

-- The identity of this database among those that share a Redis.
CREATE TABLE installation (
    id      uuid NOT NULL DEFAULT gen_random_uuid(),
    is_only boolean PRIMARY KEY DEFAULT true,
    CONSTRAINT installation_is_one_row CHECK (is_only)
);
INSERT INTO installation DEFAULT VALUES;

CREATE TABLE sales (
    id                uuid PRIMARY KEY,
    slug              text NOT NULL,
    name              text NOT NULL,
    description       text NOT NULL DEFAULT '',
    price_minor       bigint NOT NULL,
    currency          text NOT NULL,
    per_shopper_limit integer NOT NULL DEFAULT 1,
    -- Not null: the sale is for verified accounts only, with at most this many units each.
    per_account_limit integer,
    -- Stored states only. 'sold_out' is derived from the stock, so the two can never disagree.
    status            text NOT NULL DEFAULT 'scheduled',
    message           text,
    -- Colours and texts of the shopper's page, as `fairline-sale` reads them.
    theme              jsonb NOT NULL DEFAULT '{}',
    opens_at          timestamptz NOT NULL,
    ends_at           timestamptz,
    -- The time zone of the sale's operators, for display.
    time_zone         text NOT NULL DEFAULT 'UTC',
    created_at        timestamptz NOT NULL DEFAULT now(),

    -- The order of the line: by joining, or by a draw among those who joined before the opening.
    -- The seed of a draw is secret until the draw is made; its SHA-256 is published from the start.
    line_order        text NOT NULL DEFAULT 'fifo',
    seed              bytea,
    -- Guarantee: every redemption in time finds a unit. Yield: units are held only while a payment
    -- runs, and more are promised than exist, with the stated risk.
    mode              text NOT NULL DEFAULT 'guarantee',
    -- In yield mode: the share of admitted shoppers who want to pay and may find no unit.
    risk              double precision NOT NULL DEFAULT 0.001,
    -- Shoppers who may be in checkout at a time: outstanding tokens and unpaid holds. Null: any
    -- number.
    in_checkout_max   integer,
    rate_cap_per_s    double precision NOT NULL,
    -- A prior sale with similar shoppers: the control law begins with its visits.
    prior_sale         uuid REFERENCES sales (id),

    token_ttl_s       integer NOT NULL,
    claim_window_s    integer NOT NULL,
    hold_s            integer NOT NULL,
    -- How long after its turn a ticket is still recalled when its shopper comes back.
    recall_window_s   integer NOT NULL DEFAULT 1800,
    -- How long a disconnected shopper keeps the place. Null: the waiting rooms' setting.
    grace_s           integer,

    -- Of a rehearsal: the sale that it copies.
    rehearsal_of      uuid REFERENCES sales (id),
    -- Whether retention deletes the sale's orders, visits, record and samples. The sale itself, its
    -- lines and its stock stay.
    retention_state   text NOT NULL DEFAULT 'kept',

    CONSTRAINT sales_slug_is_unique UNIQUE (slug),
    CONSTRAINT sales_slug_is_plain CHECK (slug ~ '^[a-z0-9](-?[a-z0-9]){0,62}$'),
    CONSTRAINT sales_status_is_known CHECK (status IN ('scheduled', 'open', 'paused', 'closed')),
    CONSTRAINT sales_price_is_not_negative CHECK (price_minor >= 0),
    CONSTRAINT sales_currency_is_iso CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT sales_limit_is_positive CHECK (per_shopper_limit > 0),
    CONSTRAINT sales_account_limit_is_positive CHECK (per_account_limit > 0),
    CONSTRAINT sales_rate_cap_is_positive CHECK (rate_cap_per_s > 0),
    CONSTRAINT sales_windows_are_positive CHECK (token_ttl_s > 0 AND claim_window_s > 0 AND hold_s > 0),
    CONSTRAINT sales_recall_window_is_positive CHECK (recall_window_s > 0),
    CONSTRAINT sales_grace_is_in_range CHECK (grace_s BETWEEN 1 AND 86400),
    CONSTRAINT sales_end_after_they_open CHECK (ends_at IS NULL OR ends_at > opens_at),
    CONSTRAINT sales_time_zone_is_a_name CHECK (time_zone ~ '^[A-Za-z0-9_+/-]{1,64}$'),
    CONSTRAINT sales_line_order_is_known CHECK (line_order IN ('fifo', 'draw')),
    CONSTRAINT sales_draws_have_a_seed CHECK ((line_order = 'draw') = (seed IS NOT NULL)),
    CONSTRAINT sales_seed_is_32_bytes CHECK (octet_length(seed) = 32),
    CONSTRAINT sales_mode_is_known CHECK (mode IN ('guarantee', 'yield')),
    CONSTRAINT sales_risk_is_a_share CHECK (risk > 0 AND risk <= 0.1),
    CONSTRAINT sales_in_checkout_max_is_positive CHECK (in_checkout_max > 0),
    CONSTRAINT sales_prior_sale_is_another CHECK (prior_sale <> id),
    CONSTRAINT sales_rehearsal_of_is_another CHECK (rehearsal_of <> id),
    CONSTRAINT sales_retention_state_is_known CHECK (retention_state IN ('kept', 'deleting', 'deleted')),
    CONSTRAINT sales_deletion_requires_closed CHECK (retention_state = 'kept' OR status = 'closed')
);
CREATE INDEX sales_running ON sales (id) WHERE status <> 'closed';
CREATE INDEX sales_by_age ON sales (created_at, id);
CREATE INDEX sales_rehearsals ON sales (rehearsal_of) WHERE rehearsal_of IS NOT NULL;
CREATE INDEX sales_closed_rehearsals ON sales (created_at) WHERE rehearsal_of IS NOT NULL AND status = 'closed' AND retention_state = 'kept';
CREATE INDEX sales_closed ON sales (created_at) WHERE rehearsal_of IS NULL AND status = 'closed' AND retention_state = 'kept';
CREATE INDEX sales_deleting ON sales (id) WHERE retention_state = 'deleting';

CREATE TRIGGER sales_audit AFTER INSERT OR UPDATE ON sales FOR EACH ROW EXECUTE FUNCTION audit_change(
    'slug', 'name', 'description', 'price_minor', 'currency', 'per_shopper_limit', 'per_account_limit', 'status', 'message',
    'rate_cap_per_s', 'token_ttl_s', 'claim_window_s', 'hold_s', 'recall_window_s', 'grace_s', 'opens_at', 'ends_at', 'line_order',
    'mode', 'risk', 'in_checkout_max', 'prior_sale', 'theme', 'time_zone', 'total', 'rehearsal_of');

-- What a sale offers, each with a stock of its own. So far, every sale has one: item 1.
CREATE TABLE items (
    sale_id uuid NOT NULL REFERENCES sales (id),
    item    smallint NOT NULL,
    PRIMARY KEY (sale_id, item),
    CONSTRAINT items_number_is_bounded CHECK (item BETWEEN 1 AND 200)
);

CREATE TABLE stock (
    sale_id  uuid NOT NULL,
    item     smallint NOT NULL,
    total    integer NOT NULL,
    promised integer NOT NULL DEFAULT 0,
    held     integer NOT NULL DEFAULT 0,
    sold     integer NOT NULL DEFAULT 0,
    -- Units that may be promised beyond the stock; 0 in guarantee mode.
    overbook integer NOT NULL DEFAULT 0,
    PRIMARY KEY (sale_id, item),
    CONSTRAINT stock_is_of_an_item FOREIGN KEY (sale_id, item) REFERENCES items,
    CONSTRAINT stock_counters_are_not_negative
        CHECK (total >= 0 AND promised >= 0 AND held >= 0 AND sold >= 0 AND overbook >= 0),
    -- Promise 3: every admitted shopper finds a unit.
    CONSTRAINT stock_is_never_overpromised CHECK (promised + held + sold <= total + overbook),
    -- Promise 1: no unit is sold twice.
    CONSTRAINT stock_is_never_oversold CHECK (held + sold <= total)
) WITH (fillfactor = 50);

-- Only `total`: every purchase changes the other counters.
CREATE TRIGGER stock_audit AFTER UPDATE OF total ON stock FOR EACH ROW EXECUTE FUNCTION audit_change('total');

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
CREATE INDEX sale_counters_active ON sale_counters (active_at);

-- Numbers further events of a sale, and gives the last number. The counters stay locked until the
-- commit, so numbers have no gaps and follow the commits. A function, since its snapshot is newer
-- than that of a statement that has waited for a stock, which would search for the newest version.
CREATE FUNCTION number_events(sale uuid, further bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
BEGIN
    UPDATE sale_counters SET events = events + further,
        active_at = CASE WHEN active_at < now() - interval '10 minutes' THEN now() ELSE active_at END
        WHERE sale_id = sale RETURNING events INTO STRICT last;
    RETURN last;
END $$;

-- The state of each running sale, about once a second.
CREATE TABLE samples (
    sale_id       uuid NOT NULL REFERENCES sales (id),
    at            timestamptz NOT NULL,
    waiting       bigint NOT NULL,
    present       bigint NOT NULL,
    -- Visits in progress, from the token to the payment.
    inside        bigint NOT NULL,
    total         integer NOT NULL,
    promised      integer NOT NULL,
    held          integer NOT NULL,
    sold          integer NOT NULL,
    -- Since the sale began: tickets given, admissions made, orders paid.
    joined        bigint NOT NULL,
    admitted      bigint NOT NULL,
    orders        bigint NOT NULL,
    -- The highest ordinal of the sale's own line.
    highest       bigint NOT NULL,
    -- Seconds that a shopper who joins now would wait at the speed of the last 30 s.
    likely_wait_s bigint,
    PRIMARY KEY (sale_id, at)
);
CREATE INDEX samples_by_age ON samples (at);

-- Rehearsals: simulated shoppers buy from a copy of a sale.
CREATE TABLE rehearsals (
    id          uuid PRIMARY KEY,
    -- The copy.
    sale_id     uuid NOT NULL REFERENCES sales (id),
    original_id uuid NOT NULL REFERENCES sales (id),
    shoppers    integer NOT NULL,
    state       text NOT NULL DEFAULT 'running',
    -- Its progress, in the crowd simulator's words.
    progress    text,
    report      jsonb,
    started_at  timestamptz NOT NULL DEFAULT now(),
    -- The controller that runs it renews this every second, so that its death is noticed.
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz,
    CONSTRAINT rehearsals_state_is_known CHECK (state IN ('running', 'stopping', 'passed', 'failed', 'stopped')),
    CONSTRAINT rehearsals_ended_at_matches_state CHECK ((ended_at IS NULL) = (state IN ('running', 'stopping')))
);
-- One at a time: simulated shoppers are as much load as real ones.
CREATE UNIQUE INDEX rehearsals_one_runs ON rehearsals ((true)) WHERE ended_at IS NULL;
CREATE INDEX rehearsals_by_original ON rehearsals (original_id, started_at);
CREATE INDEX rehearsals_by_copy ON rehearsals (sale_id);
