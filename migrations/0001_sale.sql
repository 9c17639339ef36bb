-- The truth of a sale. Everything that money touches is here; Redis only holds the line, which can be rebuilt.
--
-- Lock order, everywhere: lines -> admissions -> holds -> payments -> stock. The stock row is the hot one: it is
-- locked last and for the shortest time.

CREATE TABLE sales (
    id                uuid PRIMARY KEY,
    slug              text NOT NULL,
    name              text NOT NULL,
    description       text NOT NULL DEFAULT '',
    price_minor       bigint NOT NULL,
    currency          text NOT NULL,
    per_shopper_limit integer NOT NULL DEFAULT 1,
    -- Stored states only. 'sold_out' is derived from the stock, so the two can never disagree.
    status            text NOT NULL DEFAULT 'scheduled',
    message           text,
    rate_cap_per_s    double precision NOT NULL,
    token_ttl_s       integer NOT NULL,
    claim_window_s    integer NOT NULL,
    hold_s            integer NOT NULL,
    opens_at          timestamptz NOT NULL,
    ends_at           timestamptz,
    created_at        timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sales_slug_is_unique UNIQUE (slug),
    CONSTRAINT sales_slug_is_plain CHECK (slug ~ '^[a-z0-9](-?[a-z0-9]){0,62}$'),
    CONSTRAINT sales_status_is_known CHECK (status IN ('scheduled', 'open', 'paused', 'closed')),
    CONSTRAINT sales_price_is_not_negative CHECK (price_minor >= 0),
    CONSTRAINT sales_currency_is_iso CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT sales_limit_is_positive CHECK (per_shopper_limit > 0),
    CONSTRAINT sales_rate_cap_is_positive CHECK (rate_cap_per_s > 0),
    CONSTRAINT sales_windows_are_positive CHECK (token_ttl_s > 0 AND claim_window_s > 0 AND hold_s > 0),
    CONSTRAINT sales_end_after_they_open CHECK (ends_at IS NULL OR ends_at > opens_at)
);

CREATE TABLE stock (
    sale_id  uuid PRIMARY KEY REFERENCES sales (id),
    total    integer NOT NULL,
    promised integer NOT NULL DEFAULT 0,
    held     integer NOT NULL DEFAULT 0,
    sold     integer NOT NULL DEFAULT 0,
    -- Units that may be promised beyond the stock; 0 in guarantee mode.
    overbook integer NOT NULL DEFAULT 0,
    CONSTRAINT stock_counters_are_not_negative
        CHECK (total >= 0 AND promised >= 0 AND held >= 0 AND sold >= 0 AND overbook >= 0),
    -- Promise 3: whoever is let in finds a unit waiting.
    CONSTRAINT stock_is_never_overpromised CHECK (promised + held + sold <= total + overbook),
    -- Promise 1: no unit is sold twice.
    CONSTRAINT stock_is_never_oversold CHECK (held + sold <= total)
) WITH (fillfactor = 50);

-- The controller's ledger of the line: what a new Redis is measured against.
CREATE TABLE lines (
    sale_id         uuid PRIMARY KEY REFERENCES sales (id),
    epoch           integer NOT NULL DEFAULT 1,
    cursor          bigint NOT NULL DEFAULT 0,
    highest_ordinal bigint NOT NULL DEFAULT 0,
    -- Counts what was told to Redis, so that a late message never undoes a later one.
    publication     bigint NOT NULL DEFAULT 0,
    -- The sale's status that Redis was last told of: a closed sale needs no more ticks once it has been said.
    published_status text,
    -- Unused admissions of the rate cap, carried from tick to tick; see the control law.
    credit          double precision NOT NULL DEFAULT 0,
    ticked_at       timestamptz NOT NULL DEFAULT now(),
    last_decision   text,
    CONSTRAINT lines_move_forward CHECK (epoch > 0 AND cursor >= 0 AND highest_ordinal >= cursor)
) WITH (fillfactor = 50);

CREATE TABLE admissions (
    -- Also the token's `jti`.
    id              uuid PRIMARY KEY,
    sale_id         uuid NOT NULL REFERENCES sales (id),
    epoch           integer NOT NULL,
    ordinal         bigint NOT NULL,
    visitor         bytea NOT NULL,
    quantity        integer NOT NULL,
    kid             text NOT NULL,
    state           text NOT NULL DEFAULT 'promised',
    -- What the line was last told of this admission; a crash between the two is mended by the next tick.
    published_state text,
    issued_at       timestamptz NOT NULL,
    claim_by        timestamptz NOT NULL,
    claimed_at      timestamptz,
    expires_at      timestamptz NOT NULL,
    CONSTRAINT admissions_state_is_known CHECK (state IN ('promised', 'redeemed', 'lapsed')),
    CONSTRAINT admissions_quantity_is_positive CHECK (quantity > 0),
    CONSTRAINT admissions_visitor_is_16_bytes CHECK (octet_length(visitor) = 16)
);
-- A ticket has at most one admission that is out or used; after one that lapsed unclaimed it may be recalled.
CREATE UNIQUE INDEX admissions_one_live_per_ticket ON admissions (sale_id, epoch, ordinal) WHERE state <> 'lapsed';
CREATE INDEX admissions_promised ON admissions (sale_id, expires_at) WHERE state = 'promised';
CREATE INDEX admissions_to_publish ON admissions (sale_id, issued_at) WHERE published_state IS DISTINCT FROM state;

CREATE TABLE holds (
    -- The id of the order, once the hold is paid.
    id           uuid PRIMARY KEY,
    admission_id uuid NOT NULL REFERENCES admissions (id),
    sale_id      uuid NOT NULL REFERENCES sales (id),
    visitor      bytea NOT NULL,
    quantity     integer NOT NULL,
    amount_minor bigint NOT NULL,
    currency     text NOT NULL,
    state        text NOT NULL DEFAULT 'held',
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    CONSTRAINT holds_state_is_known CHECK (state IN ('held', 'paid', 'lapsed')),
    CONSTRAINT holds_quantity_is_positive CHECK (quantity > 0),
    -- Promise 2: an admission token is redeemed at most once.
    CONSTRAINT holds_one_per_admission UNIQUE (admission_id)
);
CREATE INDEX holds_held ON holds (expires_at) WHERE state = 'held';
CREATE INDEX holds_by_visitor ON holds (sale_id, visitor);

CREATE TABLE payments (
    id              uuid PRIMARY KEY,
    hold_id         uuid NOT NULL REFERENCES holds (id),
    -- What the shopper pays with: the gateway's token, never card data.
    payment_method  text NOT NULL,
    -- The gateway's own id, once it has answered.
    gateway_ref     text,
    state           text NOT NULL DEFAULT 'started',
    amount_minor    bigint NOT NULL,
    currency        text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payments_state_is_known CHECK (state IN
        ('started', 'authorised', 'captured', 'declined', 'voided', 'refund_due', 'refunded'))
);
-- One payment at a time for a hold, and one that succeeded for ever.
CREATE UNIQUE INDEX payments_one_live_per_hold ON payments (hold_id) WHERE state IN ('started', 'authorised', 'captured');
CREATE INDEX payments_unfinished ON payments (updated_at) WHERE state IN ('started', 'authorised', 'refund_due');

CREATE TABLE orders (
    id           uuid PRIMARY KEY REFERENCES holds (id),
    sale_id      uuid NOT NULL REFERENCES sales (id),
    payment_id   uuid NOT NULL REFERENCES payments (id),
    visitor      bytea NOT NULL,
    quantity     integer NOT NULL,
    amount_minor bigint NOT NULL,
    currency     text NOT NULL,
    paid_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT orders_one_per_payment UNIQUE (payment_id)
);
CREATE INDEX orders_by_visitor ON orders (sale_id, visitor);
