-- Accounts of shoppers, where a sale asks for them: who somebody is, beyond a ticket.

-- A sale that names a limit sells to verified accounts only, and so many units to each.
ALTER TABLE sales ADD COLUMN per_account_limit integer,
    ADD CONSTRAINT sales_account_limit_is_positive CHECK (per_account_limit > 0);

-- The id is made of what was proved, by a key: the same person has the same one again after having been forgotten.
CREATE TABLE accounts (
    id         uuid PRIMARY KEY,
    -- Where letters to it go: e-mail, or a phone number that begins with a plus. None that was proved, else.
    address    text,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT accounts_address_has_a_bound CHECK (octet_length(address) BETWEEN 3 AND 254)
);
CREATE INDEX accounts_by_age ON accounts (seen_at);

-- A code was asked for. The code itself is made of the id, by a key, and stands nowhere.
CREATE TABLE sign_ins (
    id         uuid PRIMARY KEY,
    address    text NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    done_at    timestamptz,
    CONSTRAINT sign_ins_address_has_a_bound CHECK (octet_length(address) BETWEEN 3 AND 254)
);
CREATE INDEX sign_ins_by_address ON sign_ins (address, created_at);
CREATE INDEX sign_ins_by_age ON sign_ins (created_at);

-- Somebody is signed in on one device: a family of refresh tokens, of which the newest is good.
CREATE TABLE sessions (
    id         uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sessions_by_account ON sessions (account_id);
CREATE TABLE refresh_tokens (
    -- SHA-256 of the token.
    digest     bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    CONSTRAINT refresh_tokens_digest_is_32_bytes CHECK (octet_length(digest) = 32)
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_age ON refresh_tokens (expires_at);

-- Whose hold it is, where a sale asks for it, or where they were signed in.
ALTER TABLE holds ADD COLUMN account_id uuid;
CREATE INDEX holds_by_account ON holds (account_id, created_at) WHERE account_id IS NOT NULL;

-- What each account has of a sale that has a limit: units promised, held or paid for. Kept by a trigger, so that no change of
-- a hold can forget it; only those who have locked the stock of the sale come here.
CREATE TABLE allowances (
    sale_id    uuid NOT NULL REFERENCES sales (id),
    account_id uuid NOT NULL,
    units      integer NOT NULL,
    most       integer NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sale_id, account_id),
    CONSTRAINT allowances_are_kept CHECK (units BETWEEN 0 AND most)
);
CREATE INDEX allowances_by_age ON allowances (changed_at);

CREATE FUNCTION keep_allowance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change integer := 0;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.state NOT IN ('lapsed', 'cancelled') THEN
        change := change - OLD.quantity;
    END IF;
    IF NEW.state NOT IN ('lapsed', 'cancelled') THEN
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
CREATE TRIGGER holds_keep_allowances AFTER INSERT OR UPDATE OF state ON holds
    FOR EACH ROW WHEN (NEW.account_id IS NOT NULL) EXECUTE FUNCTION keep_allowance();
