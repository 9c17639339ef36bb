-- Holds, payments and orders, and the limits per shopper and per account.

CREATE TABLE holds (
    -- The id of the order, once the hold is paid.
    id           uuid PRIMARY KEY,
    -- Null: the merchant reserved the units itself.
    admission_id uuid REFERENCES admissions (id),
    -- The merchant's reference of its own reservation.
    reserved_as  text,
    -- No foreign key, whose check would cost each redemption: the sale is that of the admission, or
    -- of the stock that was locked to reserve units.
    sale_id      uuid NOT NULL,
    visitor      bytea NOT NULL,
    -- The account, if the sale requires one or the shopper was signed in.
    account_id   uuid,
    quantity     integer NOT NULL,
    amount_minor bigint NOT NULL,
    currency     text NOT NULL,
    -- 'promised' in a yield sale, before a payment and after a failed one: the units count as
    -- promised.
    state        text NOT NULL DEFAULT 'held',
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    cancelled_at timestamptz,
    -- The account was notified that the hold is about to expire.
    warned       boolean NOT NULL DEFAULT false,
    -- The trace in which the hold began, as a W3C `traceparent`: the sweeper ends holds in the same
    -- trace.
    traceparent  text CHECK (length(traceparent) = 55),
    CONSTRAINT holds_state_is_known CHECK (state IN ('promised', 'held', 'paid', 'expired', 'cancelled')),
    CONSTRAINT holds_quantity_is_positive CHECK (quantity > 0),
    -- Promise 2: an admission token is redeemed at most once.
    CONSTRAINT holds_one_per_admission UNIQUE (admission_id),
    CONSTRAINT holds_have_an_admission_or_a_reference CHECK ((admission_id IS NULL) = (reserved_as IS NOT NULL)),
    CONSTRAINT holds_reference_is_bounded CHECK (octet_length(reserved_as) BETWEEN 1 AND 200),
    CONSTRAINT holds_cancelled_at_matches_state CHECK ((state = 'cancelled') = (cancelled_at IS NOT NULL))
);
-- The same reference is the same reservation.
CREATE UNIQUE INDEX holds_one_per_reference ON holds (sale_id, reserved_as) WHERE reserved_as IS NOT NULL;
CREATE INDEX holds_by_visitor ON holds (visitor);
CREATE INDEX holds_by_account ON holds (account_id, created_at) WHERE account_id IS NOT NULL;
CREATE INDEX holds_open ON holds (sale_id, expires_at) WHERE state IN ('promised', 'held');
CREATE INDEX holds_to_warn ON holds (expires_at) WHERE account_id IS NOT NULL AND NOT warned AND state IN ('promised', 'held');
CREATE INDEX holds_by_age ON holds (sale_id, created_at);
CREATE INDEX holds_cancelled ON holds (sale_id, cancelled_at) WHERE cancelled_at IS NOT NULL;
-- For retention: rows that still name a person, by age.
CREATE INDEX holds_to_anonymise ON holds (created_at)
    WHERE state NOT IN ('promised', 'held') AND (visitor <> '\x00000000000000000000000000000000'
    OR account_id IS NOT NULL OR reserved_as <> 'forgotten ' || id::text);

-- Units that each shopper has of a sale: promised, held or paid. The limit applies to the shopper
-- and not to the turn, so it covers shoppers who rejoin or wait in a lane, too. Triggers keep it,
-- in transactions that have locked the sale's stock.
CREATE TABLE shopper_allowances (
    -- No foreign key: the sale is that of a hold, and a check would double the cost of this table
    -- for a redemption.
    sale_id    uuid NOT NULL,
    visitor    bytea NOT NULL,
    units      integer NOT NULL,
    most       integer NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sale_id, visitor),
    -- Promise 8: a shopper never has more of a sale than its limit.
    CONSTRAINT shopper_allowances_within_limit CHECK (units BETWEEN 0 AND most)
) WITH (fillfactor = 90);
-- For retention. Not BRIN, which keeps the age of deleted rows: once their pages are used again, a
-- search for old rows reads all.
CREATE INDEX shopper_allowances_due ON shopper_allowances (changed_at);

-- One statement for all that one statement redeems.
CREATE FUNCTION insert_shopper_allowances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shopper_allowances (sale_id, visitor, units, most)
        SELECT made.sale_id, made.visitor, sum(made.quantity), per_shopper_limit FROM made
        JOIN sales ON sales.id = made.sale_id
        WHERE made.admission_id IS NOT NULL AND made.state NOT IN ('expired', 'cancelled')
        GROUP BY made.sale_id, made.visitor, per_shopper_limit ORDER BY made.sale_id, made.visitor
        ON CONFLICT (sale_id, visitor) DO UPDATE
        SET units = shopper_allowances.units + excluded.units, most = excluded.most, changed_at = now();
    RETURN NULL;
END
$$;
CREATE TRIGGER holds_insert_shopper_allowances AFTER INSERT ON holds
    REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION insert_shopper_allowances();

-- Returned units, and units of a renewed hold.
CREATE FUNCTION change_shopper_allowance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state IN ('expired', 'cancelled') THEN
        UPDATE shopper_allowances SET units = units - NEW.quantity, changed_at = now()
            WHERE sale_id = NEW.sale_id AND visitor = NEW.visitor;
    ELSE
        INSERT INTO shopper_allowances (sale_id, visitor, units, most)
            SELECT NEW.sale_id, NEW.visitor, NEW.quantity, per_shopper_limit FROM sales WHERE id = NEW.sale_id
            ON CONFLICT (sale_id, visitor) DO UPDATE
            SET units = shopper_allowances.units + excluded.units, most = excluded.most, changed_at = now();
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER holds_change_shopper_allowances AFTER UPDATE OF state ON holds
    FOR EACH ROW WHEN (NEW.admission_id IS NOT NULL
        AND (OLD.state IN ('expired', 'cancelled')) <> (NEW.state IN ('expired', 'cancelled')))
    EXECUTE FUNCTION change_shopper_allowance();

-- Likewise for accounts, in sales with a limit per account.
CREATE TABLE allowances (
    sale_id    uuid NOT NULL REFERENCES sales (id),
    account_id uuid NOT NULL,
    units      integer NOT NULL,
    most       integer NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sale_id, account_id),
    CONSTRAINT allowances_within_limit CHECK (units BETWEEN 0 AND most)
);
CREATE INDEX allowances_by_age ON allowances (changed_at);

CREATE FUNCTION update_allowance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change integer := 0;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.state NOT IN ('expired', 'cancelled') THEN
        change := change - OLD.quantity;
    END IF;
    IF NEW.state NOT IN ('expired', 'cancelled') THEN
        change := change + NEW.quantity;
    END IF;
    IF change > 0 THEN
        INSERT INTO allowances (sale_id, account_id, units, most)
            SELECT NEW.sale_id, NEW.account_id, change, per_account_limit FROM sales
            WHERE id = NEW.sale_id AND per_account_limit IS NOT NULL
            ON CONFLICT (sale_id, account_id) DO UPDATE
            SET units = allowances.units + excluded.units, most = excluded.most, changed_at = now();
    ELSIF change < 0 THEN
        UPDATE allowances SET units = units + change, changed_at = now()
            WHERE sale_id = NEW.sale_id AND account_id = NEW.account_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER holds_update_allowances AFTER INSERT OR UPDATE OF state ON holds
    FOR EACH ROW WHEN (NEW.account_id IS NOT NULL) EXECUTE FUNCTION update_allowance();

CREATE TABLE payments (
    id             uuid PRIMARY KEY,
    hold_id        uuid NOT NULL REFERENCES holds (id),
    -- The gateway's token of the card, never card data.
    payment_method text NOT NULL,
    -- The gateway's id of the payment, once it has answered.
    gateway_ref    text,
    -- What the shopper's page needs while the bank authenticates the shopper.
    client_secret  text,
    state          text NOT NULL DEFAULT 'started',
    -- The gateway's error code, if it rejected the payment itself and not the card.
    rejected_as    text,
    amount_minor   bigint NOT NULL,
    -- Returned to the shopper, and withdrawn by the bank unless the dispute was won, as the gateway
    -- reports.
    refunded_minor bigint NOT NULL DEFAULT 0,
    disputed_minor bigint NOT NULL DEFAULT 0,
    currency       text NOT NULL,
    -- The state of the newest dispute, in the gateway's word.
    dispute        text,
    -- How often the sweeper resumed it: a payment that never ends is resumed less and less often,
    -- so that it does not delay others.
    recovery_attempts integer NOT NULL DEFAULT 0,
    -- When the gateway is next asked about an ended payment: an intent that could still be
    -- confirmed, a refund or a dispute. Null: nothing to settle.
    settle_at      timestamptz,
    -- Counts reports, so that the answer to an older question does not clear a newer report.
    settle_no      integer NOT NULL DEFAULT 0,
    -- Until then a process that has read the payment may send its authorisation, which then reaches
    -- the gateway. No earlier is the end of the payment reported.
    call_until     timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payments_state_is_known CHECK (state IN
        ('started', 'authorised', 'captured', 'declined', 'voided', 'refund_due', 'refunded')),
    -- Money can always be found at the gateway.
    CONSTRAINT payments_authorised_have_a_reference
        CHECK (state NOT IN ('authorised', 'captured', 'refund_due', 'refunded') OR gateway_ref IS NOT NULL),
    CONSTRAINT payments_rejection_is_bounded CHECK (octet_length(rejected_as) BETWEEN 1 AND 100),
    CONSTRAINT payments_refunds_are_within_amount
        CHECK (refunded_minor BETWEEN 0 AND amount_minor AND disputed_minor BETWEEN 0 AND amount_minor),
    CONSTRAINT payments_dispute_is_bounded CHECK (octet_length(dispute) BETWEEN 1 AND 60)
);
-- A hold has one payment at a time, and at most one that succeeded.
CREATE UNIQUE INDEX payments_one_live_per_hold ON payments (hold_id) WHERE state IN ('started', 'authorised', 'captured');
-- The state of an order depends on its newest payment.
CREATE INDEX payments_by_hold ON payments (hold_id, created_at);
CREATE INDEX payments_by_reference ON payments (gateway_ref) WHERE gateway_ref IS NOT NULL;
CREATE INDEX payments_unfinished ON payments (updated_at) WHERE state IN ('started', 'authorised', 'refund_due');
CREATE INDEX payments_to_settle ON payments (settle_at) WHERE settle_at IS NOT NULL;
CREATE INDEX payments_by_age ON payments (created_at);
CREATE INDEX payments_failed ON payments (updated_at) WHERE state IN ('declined', 'voided');
-- For retention: rows that still have a payment method, by age.
CREATE INDEX payments_to_anonymise ON payments (created_at)
    WHERE payment_method <> '' AND state NOT IN ('started', 'authorised', 'refund_due');

-- The client secret is useless after the authentication, and is deleted whichever process moves the
-- payment on.
CREATE FUNCTION clear_client_secret() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.client_secret := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER payments_clear_client_secret BEFORE UPDATE OF state ON payments FOR EACH ROW
    WHEN (NEW.client_secret IS NOT NULL AND NEW.state <> 'started') EXECUTE FUNCTION clear_client_secret();

CREATE TABLE orders (
    id           uuid PRIMARY KEY REFERENCES holds (id),
    sale_id      uuid NOT NULL REFERENCES sales (id),
    payment_id   uuid REFERENCES payments (id),
    -- The merchant's reference, if the order was paid at the shop.
    paid_as      text,
    visitor      bytea NOT NULL,
    quantity     integer NOT NULL,
    amount_minor bigint NOT NULL,
    currency     text NOT NULL,
    paid_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT orders_one_per_payment UNIQUE (payment_id),
    CONSTRAINT orders_have_a_payment_or_a_reference CHECK ((payment_id IS NULL) = (paid_as IS NOT NULL)),
    CONSTRAINT orders_reference_is_bounded CHECK (octet_length(paid_as) BETWEEN 1 AND 200)
);
CREATE INDEX orders_by_visitor ON orders (visitor);
-- Counts the units of a sale's orders without a look at the table.
CREATE INDEX orders_by_time ON orders (sale_id, paid_at) INCLUDE (quantity);
-- For retention: rows that still name a person, by age.
CREATE INDEX orders_to_anonymise ON orders (paid_at)
    WHERE visitor <> '\x00000000000000000000000000000000' OR paid_as <> 'forgotten';

-- Requests of operators and merchants to refund or cancel an order. Checkout executes them, since
-- it alone calls the gateway.
CREATE TABLE order_requests (
    id           uuid PRIMARY KEY,
    order_id     uuid NOT NULL REFERENCES holds (id),
    sale_id      uuid NOT NULL REFERENCES sales (id),
    kind         text NOT NULL,
    -- Of a refund; null: all that is left.
    amount_minor bigint,
    reason       text NOT NULL,
    requested_by text NOT NULL,
    state        text NOT NULL DEFAULT 'requested',
    -- Why it failed.
    error        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    -- The time of the next attempt.
    due_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT order_requests_kind_is_known CHECK (kind IN ('refund', 'cancel')),
    CONSTRAINT order_requests_state_is_known CHECK (state IN ('requested', 'done', 'failed')),
    CONSTRAINT order_requests_amount_is_positive CHECK (amount_minor IS NULL OR amount_minor > 0 AND kind = 'refund'),
    CONSTRAINT order_requests_reason_is_bounded CHECK (char_length(reason) BETWEEN 1 AND 500)
);
-- One at a time, so that none is made twice by mistake.
CREATE UNIQUE INDEX order_requests_one_at_a_time ON order_requests (order_id) WHERE state = 'requested';
CREATE INDEX order_requests_due ON order_requests (due_at) WHERE state = 'requested';
CREATE INDEX order_requests_by_order ON order_requests (order_id, created_at);
CREATE INDEX order_requests_by_sale ON order_requests (sale_id);

CREATE TRIGGER order_requests_audit AFTER INSERT ON order_requests FOR EACH ROW
    EXECUTE FUNCTION audit_change('kind', 'order_id', 'amount_minor');

-- Webhooks of the payment gateway that were processed, so that each has an effect once.
CREATE TABLE gateway_events (
    id       text PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT gateway_events_id_is_bounded CHECK (octet_length(id) BETWEEN 1 AND 200)
);
CREATE INDEX gateway_events_by_age ON gateway_events (received_at);

-- The heartbeat of each checkout process: requests of its last seconds. Unlogged: useless after a
-- crash.
CREATE UNLOGGED TABLE checkouts (
    id           uuid PRIMARY KEY,
    heartbeat_at timestamptz NOT NULL,
    answered     integer NOT NULL,
    failed       integer NOT NULL,
    slow         integer NOT NULL,
    -- The payment gateway does not answer this process. Other processes may not have called it
    -- lately, and must not let holds expire that wait for it.
    gateway_down boolean NOT NULL DEFAULT false,
    CONSTRAINT checkouts_counts_are_valid CHECK (answered >= failed AND answered >= slow AND failed >= 0 AND slow >= 0)
) WITH (fillfactor = 50);
