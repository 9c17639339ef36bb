-- A shop that has been in business for two years: ten thousand closed sales, one that is open, and
-- in each table that grows `fixture.rows` rows. Ids are digests of numbers, so that rows refer to
-- each other without a look-up.
--
-- Retention has run: older rows are deleted or anonymised, except some `due` rows of each table.

SET synchronous_commit = off;
-- Neither foreign keys nor triggers.
SET session_replication_role = replica;
SET maintenance_work_mem = '256MB';

CREATE TEMP TABLE dropped ON COMMIT PRESERVE ROWS AS
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS made FROM pg_index
    WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid);
DO $$ DECLARE one text; BEGIN
    FOR one IN SELECT name FROM dropped LOOP EXECUTE 'DROP INDEX ' || one; END LOOP;
END $$;

CREATE FUNCTION pg_temp.id(kind text, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS 'SELECT md5(kind || n)::uuid';
CREATE FUNCTION pg_temp.visitor(n bigint) RETURNS bytea IMMUTABLE LANGUAGE sql AS $$ SELECT decode(md5('visitor' || n), 'hex') $$;
-- Sale 0 is open; sale n was closed n times 100 minutes ago. One row in fifty belongs to sale 0.
CREATE FUNCTION pg_temp.sale(n bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT CASE WHEN n % 50 = 0 THEN 0 ELSE 1 + n % 9999 END';
CREATE FUNCTION pg_temp.at(sale bigint) RETURNS timestamptz STABLE LANGUAGE sql AS $$ SELECT now() - sale * interval '100 minutes' - interval '30 minutes' $$;

INSERT INTO sales (id, slug, name, price_minor, currency, rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, status, opens_at, ends_at, created_at,
    rehearsal_of)
    SELECT pg_temp.id('sale', n), 'sale-' || n, 'A sale', 4900, 'EUR', 50, 120, 30, 300, CASE n WHEN 0 THEN 'open' ELSE 'closed' END,
    pg_temp.at(n) - interval '1 hour', CASE WHEN n > 0 THEN pg_temp.at(n) END, pg_temp.at(n) - interval '2 days',
    CASE WHEN n > 0 AND n % 10 = 0 THEN pg_temp.id('sale', n - 1) END
    FROM generate_series(0, 10000) AS n;
INSERT INTO lines (id, sale_id, epoch, published_status, recorded_status, ticked_at, highest_ordinal, granted, cursor, joined)
    SELECT id, id, CASE status WHEN 'open' THEN 0 ELSE 1 END, status, status, least(coalesce(ends_at, now()), now()), 0, 0, 0, 0 FROM sales;
INSERT INTO rehearsals (id, sale_id, original_id, shoppers, state, started_at, heartbeat_at, ended_at, report)
    SELECT gen_random_uuid(), id, rehearsal_of, 1000, 'passed', opens_at, ends_at, ends_at, '{}' FROM sales WHERE rehearsal_of IS NOT NULL;
-- Its controller has died in the middle.
UPDATE rehearsals SET state = 'running', ended_at = NULL, heartbeat_at = now() - interval '1 hour' WHERE original_id = pg_temp.id('sale', 9);
-- An image that no product has used for a year.
INSERT INTO media (hash, format, width, height, widths, unused_since) VALUES (sha256('image'), 'jpg', 400, 400, '{400}', now() - interval '400 days');
INSERT INTO accounts (id, address, created_at, seen_at)
    SELECT pg_temp.id('account', n), 'a' || n || '@example.org', now() - interval '300 days', now() - (n % 360) * interval '1 day' FROM generate_series(1, :rows) AS n;

INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, state, published_state, recorded_state, issued_at, claim_by,
    claimed_at, expires_at)
    SELECT pg_temp.id('admission', n), pg_temp.id('sale', sale), pg_temp.id('sale', sale), 1, n,
    CASE WHEN at < now() - interval '365 days' AND n > :due THEN '\x00000000000000000000000000000000' ELSE pg_temp.visitor(n) END,
    1, 'k', state, state, state, at, at + interval '30 seconds', at + interval '5 seconds', at + interval '120 seconds'
    FROM (SELECT n, pg_temp.sale(n) AS sale, CASE WHEN n % 5 = 0 AND n % 50 > 0 THEN 'lapsed' ELSE 'redeemed' END AS state,
        CASE WHEN n <= :due THEN now() - interval '400 days' ELSE pg_temp.at(pg_temp.sale(n)) - (n % 3000) * interval '1 second' END AS at
        FROM generate_series(1, :rows) AS n) AS row;
INSERT INTO holds (id, admission_id, sale_id, visitor, quantity, amount_minor, currency, state, created_at, expires_at, account_id)
    SELECT pg_temp.id('hold', n), pg_temp.id('admission', n), pg_temp.id('sale', sale),
    CASE WHEN at < now() - interval '365 days' AND n > :due THEN '\x00000000000000000000000000000000' ELSE pg_temp.visitor(n) END,
    1, 4900, 'EUR', CASE WHEN n % 7 = 0 AND n % 50 > 0 THEN 'expired' ELSE 'paid' END, at, at + interval '300 seconds',
    CASE WHEN at >= now() - interval '365 days' AND n % 2 = 0 THEN pg_temp.id('account', n) END
    FROM (SELECT n, pg_temp.sale(n) AS sale,
        CASE WHEN n <= :due THEN now() - interval '400 days' ELSE pg_temp.at(pg_temp.sale(n)) - (n % 3000) * interval '1 second' END AS at
        FROM generate_series(1, :rows) AS n) AS row;
INSERT INTO payments (id, hold_id, payment_method, gateway_ref, state, amount_minor, currency, created_at, updated_at)
    SELECT pg_temp.id('payment', n), pg_temp.id('hold', n), CASE WHEN at < now() - interval '365 days' AND n > :due THEN '' ELSE 'tok_visa' END,
    'pi_' || n, CASE WHEN n % 7 = 0 AND n % 50 > 0 THEN 'declined' ELSE 'captured' END, 4900, 'EUR', at, at
    FROM (SELECT n, CASE WHEN n <= :due THEN now() - interval '400 days' ELSE pg_temp.at(pg_temp.sale(n)) - (n % 3000) * interval '1 second' END AS at
        FROM generate_series(1, :rows) AS n) AS row;
INSERT INTO orders (id, sale_id, payment_id, visitor, quantity, amount_minor, currency, paid_at)
    SELECT pg_temp.id('hold', n), pg_temp.id('sale', sale), pg_temp.id('payment', n),
    CASE WHEN at < now() - interval '365 days' AND n > :due THEN '\x00000000000000000000000000000000' ELSE pg_temp.visitor(n) END,
    1, 4900, 'EUR', at
    FROM (SELECT n, pg_temp.sale(n) AS sale,
        CASE WHEN n <= :due THEN now() - interval '400 days' ELSE pg_temp.at(pg_temp.sale(n)) - (n % 3000) * interval '1 second' END AS at
        FROM generate_series(1, :rows) AS n WHERE n % 7 > 0 OR n % 50 = 0) AS row;
INSERT INTO items (sale_id, item, sku, name, price_minor, position) SELECT id, 1, slug, name, price_minor, 0 FROM sales;
INSERT INTO sale_counters (sale_id, events, orders, active_at)
    SELECT id, CASE WHEN bought IS NULL THEN 0 ELSE :rows / 50 END, coalesce(bought, 0), coalesce(ends_at, now())
    FROM sales LEFT JOIN (SELECT sale_id, count(*) AS bought FROM orders GROUP BY 1) AS counted ON sale_id = id;
INSERT INTO stock (sale_id, item, total, sold)
    SELECT sale_id, 1, CASE WHEN orders > 0 THEN orders + 100000 ELSE 10 END, orders FROM sale_counters;
INSERT INTO relays (sale_id, number) SELECT sale_id, events FROM sale_counters;
-- Of the last week: of sale 0 and some fifty before it.
INSERT INTO outbox (sale_id, number, kind, data, happened_at)
    SELECT sale_id, n, 'PurchaseCompleted', '[{"order_id": "6b1c0c5e-0000-0000-0000-000000000000"}]', active_at - interval '1 minute'
    FROM sale_counters JOIN sales ON sales.id = sale_id, generate_series(1, :rows / 50) AS n WHERE status = 'open' OR ends_at > now() - interval '80 hours';
INSERT INTO webhooks (id, url, secret) SELECT pg_temp.id('webhook', n), 'http://127.0.0.1:9/' || n, decode(repeat('00', 24), 'hex') FROM generate_series(1, 3) AS n;
UPDATE webhooks SET disabled_at = now() WHERE id = pg_temp.id('webhook', 3);
INSERT INTO deliveries (webhook_id, sale_id, number, body, state, due_at)
    SELECT pg_temp.id('webhook', 1 + n % 3), pg_temp.id('sale', 1 + n % 100), n, '{}', CASE WHEN n % 3 = 2 AND n < 300 THEN 'waiting' ELSE 'delivered' END,
    now() - CASE WHEN n <= :due THEN interval '30 days' ELSE (n % 9000) * interval '1 minute' END FROM generate_series(1, :rows) AS n;
INSERT INTO gateway_events (id, received_at) SELECT 'evt_' || n, now() - CASE WHEN n <= :due THEN interval '30 days' ELSE (n % 9000) * interval '1 minute' END FROM generate_series(1, :rows) AS n;
INSERT INTO idempotency_keys (scope, key, request, status, body, started_at)
    SELECT sha256(n::text::bytea), 'k', sha256('r'), 200, '{}', now() - CASE WHEN n <= :due THEN interval '3 days' ELSE (n % 1400) * interval '1 minute' END FROM generate_series(1, :rows) AS n;
INSERT INTO allowances (sale_id, account_id, units, most, changed_at)
    SELECT pg_temp.id('sale', 1 + n % 5000), pg_temp.id('account', n), 1, 2, now() - CASE WHEN n <= :due THEN interval '400 days' ELSE (n % 360) * interval '1 day' END FROM generate_series(1, :rows) AS n;
INSERT INTO shopper_allowances (sale_id, visitor, units, most, changed_at)
    SELECT pg_temp.id('sale', 1 + n % 5000), pg_temp.visitor(n), 1, 2, now() - CASE WHEN n <= :due THEN interval '400 days' ELSE (n % 360) * interval '1 day' END FROM generate_series(1, :rows) AS n;
INSERT INTO order_requests (id, order_id, sale_id, kind, reason, requested_by, state, created_at, due_at)
    SELECT gen_random_uuid(), id, sale_id, 'refund', 'asked', 'ada', 'done', created_at, created_at FROM holds;
INSERT INTO sign_ins (id, address, created_at)
    SELECT pg_temp.id('sign-in', n), 'a' || n || '@example.org', now() - CASE WHEN n <= :due THEN interval '3 days' ELSE (n % 1400) * interval '1 minute' END FROM generate_series(1, :rows) AS n;
INSERT INTO sessions (id, account_id, created_at) SELECT pg_temp.id('session', n), pg_temp.id('account', n), now() - interval '3 days' FROM generate_series(1, :rows) AS n;
INSERT INTO refresh_tokens (digest, session_id, expires_at)
    SELECT sha256(n::text::bytea), pg_temp.id('session', n), now() + CASE WHEN n <= :due THEN interval '-1 hour' ELSE (1 + n % 9000) * interval '1 minute' END FROM generate_series(1, :rows) AS n;
INSERT INTO notifications (subject, account_id, content, state, due_at, relevant_until)
    SELECT 'event/' || n, pg_temp.id('account', n), '{}', 'sent', at, at FROM (
        SELECT n, now() - CASE WHEN n <= :due THEN interval '30 days' ELSE (n % 9000) * interval '1 minute' END AS at FROM generate_series(1, :rows) AS n) AS row;
-- Nearly all shoppers of the open sale were reminded; some of a closed one remain.
INSERT INTO reminders (id, line_id, account_id, epoch, ordinal, sent_at)
    SELECT pg_temp.id('reminder', n), pg_temp.id('sale', CASE WHEN n <= :due THEN 7 ELSE 0 END), pg_temp.id('account', n), 1, 1000000 + n,
    CASE WHEN n % 100 > 0 THEN now() END FROM generate_series(1, :rows) AS n;
INSERT INTO push_subscriptions (endpoint, account_id, p256dh, auth)
    SELECT 'https://push.example.org/' || n, pg_temp.id('account', n), repeat('p', 87), repeat('a', 22) FROM generate_series(1, :rows) AS n;
INSERT INTO samples (sale_id, at, waiting, present, inside, total, promised, held, sold, joined, admitted, orders, highest)
    SELECT pg_temp.id('sale', sale), now() - CASE WHEN n <= :due THEN interval '100 days' - n * interval '1 millisecond' ELSE interval '15 seconds' + (n / 1200) * interval '10 seconds'
        + sale * interval '100 minutes' END, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0
    FROM (SELECT n, n % 1200 AS sale FROM generate_series(1, :rows) AS n) AS row;
INSERT INTO ticket_actions (line_id, ordinal, kind, visitor, at, done, published)
    SELECT pg_temp.id('sale', sale), n, 'removed', CASE WHEN at < now() - interval '365 days' AND n > :due THEN '\x00000000000000000000000000000000' ELSE pg_temp.visitor(n) END,
    at, true, true FROM (SELECT n, 1 + n % 9999 AS sale, CASE WHEN n <= :due THEN now() - interval '400 days' ELSE pg_temp.at(1 + n % 9999) END AS at FROM generate_series(1, :rows) AS n) AS row;
INSERT INTO record_entries (line_id, seq, hash, body)
    SELECT pg_temp.id('sale', 1 + n % 10000), 1 + n / 10000, sha256(n::text::bytea), repeat('x', 200) FROM generate_series(1, :rows) AS n;
INSERT INTO audit (at, who, action, subject, sale_id)
    SELECT now() - (n % 700) * interval '1 day', 'ada', 'change_sale', 'sale', pg_temp.id('sale', n % 10000) FROM generate_series(1, :rows) AS n;
INSERT INTO sign_in_failures (attempt, failures, failed_at)
    SELECT sha256(n::text::bytea), 1, now() - CASE WHEN n <= :due THEN interval '2 hours' ELSE (n % 3000) * interval '1 second' END FROM generate_series(1, :rows) AS n;

DO $$ DECLARE one text; BEGIN
    FOR one IN SELECT made FROM dropped LOOP EXECUTE one; END LOOP;
END $$;
DROP TABLE dropped;
SET session_replication_role = origin;

-- What controllers find out about each closed sale at its end.
UPDATE lines SET settled = true FROM sales WHERE sales.id = lines.sale_id AND sales.status = 'closed';
