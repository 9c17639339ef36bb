-- Outstanding tokens of three thousand sales, more than a statement may visit, of which the
-- statistics know nothing: the planner takes each index of promised admissions for empty.
BEGIN;
-- Neither foreign keys nor triggers.
SET LOCAL session_replication_role = replica;
ALTER TABLE admissions SET (autovacuum_enabled = off);
INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, state, published_state, recorded_state, issued_at, claim_by, expires_at)
    SELECT gen_random_uuid(), id, id, 1, 1000000000, decode(md5(slug), 'hex'), 1, 'k', 'promised', 'promised', 'promised',
    ends_at, ends_at + interval '30 seconds', ends_at + interval '120 seconds'
    FROM sales WHERE status = 'closed' ORDER BY ends_at DESC OFFSET 1000 LIMIT 3000;
COMMIT;
