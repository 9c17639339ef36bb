-- A closed sale whose deletion has begun, with `rows` rows in each of ten tables. Postgres has no
-- statistics about it.

SET synchronous_commit = off;
-- Neither foreign keys nor triggers.
SET session_replication_role = replica;
DO $$ DECLARE one text; BEGIN
    FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = off)', one);
    END LOOP;
END $$;
CREATE FUNCTION pg_temp.id(kind text, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS 'SELECT md5(kind || n)::uuid';
CREATE FUNCTION pg_temp.visitor(n bigint) RETURNS bytea IMMUTABLE LANGUAGE sql AS $$ SELECT decode(md5('visitor' || n), 'hex') $$;

INSERT INTO sales (id, slug, name, price_minor, currency, rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, status, retention_state, opens_at,
    ends_at, created_at)
    VALUES (pg_temp.id('sale', 1), 'old', 'An old sale', 4900, 'EUR', 50, 120, 30, 300, 'closed', 'deleting', now() - interval '399 days',
    now() - interval '398 days', now() - interval '400 days');
INSERT INTO lines (id, sale_id) SELECT id, id FROM sales;
INSERT INTO sale_counters (sale_id, active_at) SELECT id, ends_at FROM sales;

INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, state, published_state, recorded_state, issued_at, claim_by,
    claimed_at, expires_at)
    SELECT pg_temp.id('admission', n), id, id, 1, n, pg_temp.visitor(n), 1, 'k', 'redeemed', 'redeemed', 'redeemed', opens_at, opens_at, opens_at, opens_at
    FROM sales, generate_series(1, :rows) AS n;
INSERT INTO holds (id, admission_id, sale_id, visitor, quantity, amount_minor, currency, state, created_at, expires_at)
    SELECT pg_temp.id('hold', n), pg_temp.id('admission', n), id, pg_temp.visitor(n), 1, 4900, 'EUR', 'paid', opens_at, opens_at
    FROM sales, generate_series(1, :rows) AS n;
INSERT INTO payments (id, hold_id, payment_method, gateway_ref, state, amount_minor, currency, created_at, updated_at)
    SELECT pg_temp.id('payment', n), pg_temp.id('hold', n), '', 'pi_' || n, 'captured', 4900, 'EUR', opens_at, opens_at
    FROM sales, generate_series(1, :rows) AS n;
INSERT INTO orders (id, sale_id, payment_id, visitor, quantity, amount_minor, currency, paid_at)
    SELECT pg_temp.id('hold', n), id, pg_temp.id('payment', n), pg_temp.visitor(n), 1, 4900, 'EUR', opens_at
    FROM sales, generate_series(1, :rows) AS n;
INSERT INTO order_requests (id, order_id, sale_id, kind, reason, requested_by, state)
    SELECT pg_temp.id('request', n), pg_temp.id('hold', n), id, 'refund', 'asked', 'ada', 'done' FROM sales, generate_series(1, :rows) AS n;
INSERT INTO shopper_allowances (sale_id, visitor, units, most) SELECT id, pg_temp.visitor(n), 1, 2 FROM sales, generate_series(1, :rows) AS n;
INSERT INTO allowances (sale_id, account_id, units, most) SELECT id, pg_temp.id('account', n), 1, 2 FROM sales, generate_series(1, :rows) AS n;
INSERT INTO ticket_actions (line_id, ordinal, kind, visitor, done, published)
    SELECT id, n, 'removed', pg_temp.visitor(n), true, true FROM sales, generate_series(1, :rows) AS n;
INSERT INTO record_entries (line_id, seq, hash, body) SELECT id, n, sha256(n::text::bytea), 'an entry' FROM sales, generate_series(1, :rows) AS n;
INSERT INTO outbox (sale_id, number, kind, data) SELECT id, n, 'PurchaseCompleted', '[{}]' FROM sales, generate_series(1, :rows) AS n;
