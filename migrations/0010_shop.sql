-- Holds are given back, and a shop that keeps its own checkout holds and sells units itself.
ALTER TABLE holds DROP CONSTRAINT holds_state_is_known,
    ADD CONSTRAINT holds_state_is_known CHECK (state IN ('promised', 'held', 'paid', 'lapsed', 'cancelled')),
    -- When it was given back.
    ADD COLUMN cancelled_at timestamptz,
    ADD CONSTRAINT holds_are_cancelled_at_a_moment CHECK ((state = 'cancelled') = (cancelled_at IS NOT NULL)),
    -- What the shop knows it by, where the shop itself has reserved the units: nobody was let in for them.
    ADD COLUMN reserved_as text,
    ALTER COLUMN admission_id DROP NOT NULL,
    ADD CONSTRAINT holds_are_of_an_admission_or_the_shop CHECK ((admission_id IS NULL) = (reserved_as IS NOT NULL)),
    ADD CONSTRAINT holds_reference_has_a_bound CHECK (octet_length(reserved_as) BETWEEN 1 AND 200);
-- The same reference is the same reservation.
CREATE UNIQUE INDEX holds_one_per_reference ON holds (sale_id, reserved_as) WHERE reserved_as IS NOT NULL;
CREATE INDEX holds_cancelled ON holds (sale_id, cancelled_at) WHERE cancelled_at IS NOT NULL;

-- An order is paid by a payment of ours, or by one that only the shop knows.
ALTER TABLE orders ALTER COLUMN payment_id DROP NOT NULL,
    ADD COLUMN paid_as text,
    ADD CONSTRAINT orders_are_paid_once CHECK ((payment_id IS NULL) = (paid_as IS NOT NULL)),
    ADD CONSTRAINT orders_reference_has_a_bound CHECK (octet_length(paid_as) BETWEEN 1 AND 200);
