-- Who may run sales, and what they have changed.
CREATE TABLE operators (
    name          text PRIMARY KEY,
    role          text NOT NULL,
    -- As argon2 writes it, with its salt and its costs.
    password      text NOT NULL,
    totp_secret   bytea NOT NULL,
    -- The last step whose code was used: a code is good once.
    totp_step     bigint NOT NULL DEFAULT 0,
    -- Attempts that failed since the last that did not, and when the last was.
    failures      integer NOT NULL DEFAULT 0,
    failed_at     timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_seen_at  timestamptz,
    CONSTRAINT operators_name_is_plain CHECK (name ~ '^[a-z0-9][a-z0-9._@-]{0,62}$'),
    CONSTRAINT operators_role_is_known CHECK (role IN ('viewer', 'operator', 'owner')),
    CONSTRAINT operators_secret_is_long CHECK (octet_length(totp_secret) >= 16)
);

CREATE TABLE operator_sessions (
    -- SHA-256 of the cookie.
    digest     bytea PRIMARY KEY,
    operator   text NOT NULL REFERENCES operators (name) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT operator_sessions_digest_is_32_bytes CHECK (octet_length(digest) = 32)
);
CREATE INDEX operator_sessions_by_operator ON operator_sessions (operator);
CREATE INDEX operator_sessions_by_age ON operator_sessions (expires_at);

-- What operators have changed. Nobody changes it afterwards.
CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    who     text NOT NULL,
    action  text NOT NULL,
    -- What was changed, by the name that people know it by.
    subject text NOT NULL,
    sale_id uuid,
    -- The fields that differ.
    before  jsonb,
    after   jsonb,
    reason  text,
    CONSTRAINT audit_reason_has_a_bound CHECK (char_length(reason) <= 500)
);
CREATE INDEX audit_by_sale ON audit (sale_id, id) WHERE sale_id IS NOT NULL;

CREATE FUNCTION refuse_to_change_the_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries of the audit log are never changed' USING CONSTRAINT = 'audit_is_kept', ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION refuse_to_change_the_audit();
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_audit();

-- Notes what a transaction of an operator changes, in the same transaction. The transaction says who it is for; those of
-- ticks and of checkout do not. The arguments are the columns that are told: secrets are not among them.
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    author text := nullif(current_setting('fairline.who', true), '');
    was jsonb;
    became jsonb;
    whole jsonb;
    sale uuid;
BEGIN
    IF author IS NULL THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN was := to_jsonb(OLD); END IF;
    IF TG_OP <> 'DELETE' THEN became := to_jsonb(NEW); END IF;
    IF TG_OP = 'INSERT' THEN became := jsonb_strip_nulls(became); END IF;
    IF TG_OP = 'INSERT' AND TG_TABLE_NAME = 'sales' THEN
        became := became || (SELECT jsonb_build_object('total', total) FROM stock WHERE sale_id = NEW.id);
    END IF;
    whole := coalesce(became, was);
    sale := CASE WHEN TG_TABLE_NAME = 'sales' THEN whole ->> 'id' ELSE whole ->> 'sale_id' END;
    SELECT jsonb_object_agg(key, was -> key) FILTER (WHERE was ? key), jsonb_object_agg(key, became -> key) FILTER (WHERE became ? key)
        INTO was, became FROM unnest(TG_ARGV) AS key WHERE was -> key IS DISTINCT FROM became -> key;
    IF was IS NULL AND became IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO audit (who, action, subject, sale_id, before, after, reason) VALUES (
        author,
        coalesce(nullif(current_setting('fairline.what', true), ''), lower(TG_OP) || '_' || TG_TABLE_NAME),
        coalesce(whole ->> 'slug', (SELECT slug FROM sales WHERE id = sale), whole ->> 'name', whole ->> 'url', whole ->> 'kid', TG_TABLE_NAME),
        sale, was, became, nullif(current_setting('fairline.why', true), '')
    );
    RETURN NULL;
END $$;

CREATE TRIGGER sales_are_noted AFTER INSERT OR UPDATE ON sales FOR EACH ROW EXECUTE FUNCTION note_change(
    'slug', 'name', 'description', 'price_minor', 'currency', 'per_shopper_limit', 'per_account_limit', 'status', 'message',
    'rate_cap_per_s', 'token_ttl_s', 'claim_window_s', 'hold_s', 'recall_window_s', 'opens_at', 'ends_at', 'line_order', 'mode',
    'risk', 'inside_max', 'like_sale', 'look', 'time_zone', 'total');
-- Not by the counters, which every purchase moves.
CREATE TRIGGER stock_is_noted AFTER UPDATE OF total ON stock FOR EACH ROW EXECUTE FUNCTION note_change('total');
CREATE TRIGGER lanes_are_noted AFTER INSERT OR UPDATE OF share, invitations ON lines FOR EACH ROW
    WHEN (NEW.lane IS NOT NULL) EXECUTE FUNCTION note_change('lane', 'share', 'invitations');
CREATE TRIGGER webhooks_are_noted AFTER INSERT OR UPDATE OF off_at OR DELETE ON webhooks FOR EACH ROW
    EXECUTE FUNCTION note_change('url', 'kinds', 'off_at');
CREATE TRIGGER keys_are_noted AFTER INSERT ON revoked_keys FOR EACH ROW EXECUTE FUNCTION note_change('kid');
CREATE TRIGGER operators_are_noted AFTER INSERT OR UPDATE OF role OR DELETE ON operators FOR EACH ROW
    EXECUTE FUNCTION note_change('name', 'role');
