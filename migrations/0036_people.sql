-- A sale's limit per shopper, held for the person and not for the turn: whoever rejoins, or waits in a lane as well, is the
-- same visitor.

-- What each visitor has of a sale: units promised, held or paid for. Kept by triggers, as allowances are; only those who
-- have locked the stock of the sale come here.
CREATE TABLE shopper_allowances (
    -- That of a hold, so one that exists; to check it again would cost a redemption as much as all the rest here.
    sale_id    uuid NOT NULL,
    visitor    bytea NOT NULL,
    units      integer NOT NULL,
    most       integer NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sale_id, visitor),
    -- Promise 8: a shopper never has more of a sale than its limit.
    CONSTRAINT shopper_allowances_are_kept CHECK (units BETWEEN 0 AND most)
) WITH (fillfactor = 90);
-- For retention alone: rows come in the order of time, so a BRIN index costs a redemption next to nothing.
CREATE INDEX shopper_allowances_by_age ON shopper_allowances USING brin (changed_at);

-- Sales that run when this arrives. Who has more than the limit already keeps it, and gets no more.
INSERT INTO shopper_allowances (sale_id, visitor, units, most)
    SELECT sale_id, visitor, sum(quantity), greatest(per_shopper_limit, sum(quantity))
    FROM holds JOIN sales ON sales.id = sale_id
    WHERE admission_id IS NOT NULL AND holds.state NOT IN ('lapsed', 'cancelled') AND sales.status <> 'closed'
    AND visitor <> decode(repeat('00', 16), 'hex')
    GROUP BY sale_id, visitor, per_shopper_limit;

-- One statement for all that one statement redeems.
CREATE FUNCTION keep_shopper_allowances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shopper_allowances (sale_id, visitor, units, most)
        SELECT made.sale_id, made.visitor, sum(made.quantity), per_shopper_limit FROM made
        JOIN sales ON sales.id = made.sale_id
        WHERE made.admission_id IS NOT NULL AND made.state NOT IN ('lapsed', 'cancelled')
        GROUP BY made.sale_id, made.visitor, per_shopper_limit ORDER BY made.sale_id, made.visitor
        ON CONFLICT (sale_id, visitor) DO UPDATE
        SET units = shopper_allowances.units + excluded.units, most = excluded.most, changed_at = now();
    RETURN NULL;
END
$$;
CREATE TRIGGER holds_keep_shopper_allowances AFTER INSERT ON holds
    REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION keep_shopper_allowances();

-- Units that go back, and those of a hold that is renewed.
CREATE FUNCTION change_shopper_allowance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state IN ('lapsed', 'cancelled') THEN
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
        AND (OLD.state IN ('lapsed', 'cancelled')) <> (NEW.state IN ('lapsed', 'cancelled')))
    EXECUTE FUNCTION change_shopper_allowance();

-- Tokens that are out for a visitor whose other turn has just used the limit up are taken back.
CREATE INDEX admissions_promised_by_visitor ON admissions (visitor) WHERE state = 'promised';

-- Why a ticket was taken out of the line: an operator wanted it, or its holder may have no more of the sale.
ALTER TABLE interventions ADD COLUMN reason text NOT NULL DEFAULT 'operator',
    ADD CONSTRAINT interventions_reason_is_known CHECK (reason IN ('operator', 'limit'));
