-- Operators of the installation, and the log of what they change.

CREATE TABLE operators (
    name          text PRIMARY KEY,
    role          text NOT NULL,
    -- An argon2 hash with its salt and parameters.
    password      text NOT NULL,
    totp_secret   bytea NOT NULL,
    -- The time step of the last code that was used: a code is valid once.
    totp_step     bigint NOT NULL DEFAULT 0,
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

-- Operators who have yet to choose a password and to receive a TOTP secret.
CREATE TABLE enrolments (
    operator   text PRIMARY KEY REFERENCES operators (name) ON DELETE CASCADE,
    -- SHA-256 of the code.
    digest     bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT enrolments_digest_is_32_bytes CHECK (octet_length(digest) = 32),
    CONSTRAINT enrolments_digest_is_unique UNIQUE (digest)
);

-- Failed attempts to sign in, by name and network: only the one who guesses has to wait.
CREATE TABLE sign_in_failures (
    -- SHA-256 of the name and the client's network.
    attempt   bytea PRIMARY KEY,
    failures  integer NOT NULL,
    failed_at timestamptz NOT NULL,
    CONSTRAINT sign_in_failures_attempt_is_32_bytes CHECK (octet_length(attempt) = 32)
);
CREATE INDEX sign_in_failures_by_age ON sign_in_failures (failed_at);

-- Tokens of programs, each with a name and a role.
CREATE TABLE api_tokens (
    name       text PRIMARY KEY,
    role       text NOT NULL,
    -- SHA-256 of the token.
    digest     bytea NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT api_tokens_name_is_plain CHECK (name ~ '^[a-z0-9][a-z0-9._@-]{0,62}$'),
    CONSTRAINT api_tokens_role_is_known CHECK (role IN ('viewer', 'operator', 'owner')),
    CONSTRAINT api_tokens_digest_is_32_bytes CHECK (octet_length(digest) = 32),
    CONSTRAINT api_tokens_digest_is_unique UNIQUE (digest)
);

-- Signing keys that are no longer valid. Controllers get their keys from settings, and read here
-- which not to use, so that one request revokes a key for all of them.
CREATE TABLE revoked_keys (
    kid        text PRIMARY KEY,
    revoked_at timestamptz NOT NULL DEFAULT now()
);

-- What operators have changed. Rows are never changed.
CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    who     text NOT NULL,
    action  text NOT NULL,
    -- The changed object, by its name in the console.
    subject text NOT NULL,
    sale_id uuid,
    -- The fields that differ.
    before  jsonb,
    after   jsonb,
    reason  text,
    CONSTRAINT audit_reason_is_bounded CHECK (char_length(reason) <= 500)
);
CREATE INDEX audit_by_sale ON audit (sale_id, id) WHERE sale_id IS NOT NULL;

CREATE FUNCTION reject_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries of the audit log are never changed' USING CONSTRAINT = 'audit_is_append_only', ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION reject_audit_change();
CREATE TRIGGER audit_is_not_truncated BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION reject_audit_change();

-- Writes what an operator (`fairline.who`) changes to `audit`, in the same transaction. The
-- arguments are the columns to log, without secrets. The entry of a new sale has the units of all
-- its items, and the subject of an item or its stock is the sale with the SKU.
CREATE FUNCTION audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    author text := nullif(current_setting('fairline.who', true), '');
    was jsonb;
    became jsonb;
    whole jsonb;
    sale uuid;
    -- Null for an item that is named like its sale.
    item_sku text;
BEGIN
    IF author IS NULL THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN was := to_jsonb(OLD); END IF;
    IF TG_OP <> 'DELETE' THEN became := to_jsonb(NEW); END IF;
    IF TG_OP = 'INSERT' THEN became := jsonb_strip_nulls(became); END IF;
    whole := coalesce(became, was);
    IF TG_TABLE_NAME = 'sales' THEN
        sale := whole ->> 'id';
        IF TG_OP = 'INSERT' THEN
            became := became || (SELECT jsonb_build_object('total', sum(total)) FROM stock WHERE sale_id = sale)
                || (SELECT CASE WHEN count(*) > 1 OR min(sku) <> whole ->> 'slug' THEN jsonb_build_object('items',
                    jsonb_agg(jsonb_build_object('sku', sku, 'price_minor', price_minor, 'total', total) ORDER BY item)) ELSE '{}' END
                    FROM items JOIN stock USING (sale_id, item) WHERE sale_id = sale);
        END IF;
    ELSE
        sale := whole ->> 'sale_id';
    END IF;
    IF TG_TABLE_NAME IN ('items', 'stock') THEN
        SELECT sku INTO item_sku FROM items JOIN sales ON id = sale_id
            WHERE sale_id = sale AND item = (whole ->> 'item')::smallint AND sku <> slug;
        IF TG_TABLE_NAME = 'items' AND TG_OP = 'INSERT' THEN
            became := became || coalesce((SELECT jsonb_build_object('total', total) FROM stock
                WHERE sale_id = sale AND item = (whole ->> 'item')::smallint), '{}');
        END IF;
    END IF;
    SELECT jsonb_object_agg(key, was -> key) FILTER (WHERE was ? key), jsonb_object_agg(key, became -> key) FILTER (WHERE became ? key)
        INTO was, became FROM unnest(TG_ARGV) AS key WHERE was -> key IS DISTINCT FROM became -> key;
    IF was IS NULL AND became IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO audit (who, action, subject, sale_id, before, after, reason) VALUES (
        author,
        coalesce(nullif(current_setting('fairline.what', true), ''), lower(TG_OP) || '_' || TG_TABLE_NAME),
        coalesce(whole ->> 'slug', (SELECT slug || coalesce(': ' || item_sku, '') FROM sales WHERE id = sale), whole ->> 'sku', whole ->> 'name',
            whole ->> 'url', whole ->> 'kid', TG_TABLE_NAME),
        sale, was, became, nullif(current_setting('fairline.why', true), '')
    );
    RETURN NULL;
END $$;

CREATE TRIGGER operators_audit AFTER INSERT OR UPDATE OF role OR DELETE ON operators FOR EACH ROW
    EXECUTE FUNCTION audit_change('name', 'role');
CREATE TRIGGER api_tokens_audit AFTER INSERT OR DELETE ON api_tokens FOR EACH ROW
    EXECUTE FUNCTION audit_change('name', 'role', 'expires_at');
CREATE TRIGGER revoked_keys_audit AFTER INSERT ON revoked_keys FOR EACH ROW EXECUTE FUNCTION audit_change('kid');
