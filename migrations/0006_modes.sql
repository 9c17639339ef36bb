-- How a sale lets people in. Guarantee: whoever redeems in time finds a unit. Yield: a visit to checkout is promised, its
-- units are held only while its payment runs, and more is promised than there is, at a stated risk.
ALTER TABLE sales
    ADD COLUMN mode text NOT NULL DEFAULT 'guarantee',
    -- In yield mode: the share of those who are let in and want to pay that may find no unit.
    ADD COLUMN risk double precision NOT NULL DEFAULT 0.001,
    ADD CONSTRAINT sales_mode_is_known CHECK (mode IN ('guarantee', 'yield')),
    ADD CONSTRAINT sales_risk_is_a_share CHECK (risk > 0 AND risk <= 0.1);

-- A hold of a yield sale begins, and is again after a payment that came to nothing, as 'promised': its units are counted
-- among the promised ones.
ALTER TABLE holds DROP CONSTRAINT holds_state_is_known,
    ADD CONSTRAINT holds_state_is_known CHECK (state IN ('promised', 'held', 'paid', 'lapsed'));
DROP INDEX holds_held;
CREATE INDEX holds_to_lapse ON holds (expires_at) WHERE state IN ('promised', 'held');

-- Shoppers who may be inside checkout at the same time: tokens that are out, and holds that are not paid. Null: any number.
ALTER TABLE sales ADD COLUMN inside_max integer,
    ADD CONSTRAINT sales_inside_max_is_positive CHECK (inside_max > 0);

-- An earlier sale, whose shoppers behaved as this one's are expected to: its visits are what this one begins with.
ALTER TABLE sales ADD COLUMN like_sale uuid REFERENCES sales (id),
    ADD CONSTRAINT sales_are_like_another CHECK (like_sale <> id);

-- How each process of checkout fares, by its own account of its last seconds. Worth nothing after a crash.
CREATE UNLOGGED TABLE checkouts (
    id       uuid PRIMARY KEY,
    beat_at  timestamptz NOT NULL,
    answered integer NOT NULL,
    failed   integer NOT NULL,
    slow     integer NOT NULL,
    CONSTRAINT checkouts_count_up CHECK (answered >= failed AND answered >= slow AND failed >= 0 AND slow >= 0)
) WITH (fillfactor = 50);

-- What the controller learns from: when things happened, and what it has learnt.
ALTER TABLE admissions
    -- When its shopper gave the token back.
    ADD COLUMN left_at timestamptz;
ALTER TABLE lines
    -- Up to when visits have been taken in.
    ADD COLUMN observed_at timestamptz NOT NULL DEFAULT now(),
    -- What was believed of visits at the first decision, as the control law writes it.
    ADD COLUMN prior jsonb,
    -- What one decision leaves for the next, as the control law writes it.
    ADD COLUMN memory jsonb NOT NULL DEFAULT '{}',
    DROP COLUMN credit;
CREATE INDEX admissions_claimed ON admissions (sale_id, claimed_at) WHERE claimed_at IS NOT NULL;
CREATE INDEX admissions_left ON admissions (sale_id, left_at) WHERE left_at IS NOT NULL;
CREATE INDEX holds_redeemed ON holds (sale_id, created_at);
CREATE INDEX holds_open ON holds (sale_id) WHERE state IN ('promised', 'held');
CREATE INDEX orders_paid ON orders (sale_id, paid_at);
CREATE INDEX payments_begun ON payments (created_at);
CREATE INDEX payments_in_vain ON payments (updated_at) WHERE state IN ('declined', 'voided');
