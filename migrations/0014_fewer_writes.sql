-- A redemption writes a hold and a new version of its admission, each into every index of its table that takes it. What no
-- query needs, it need not write.

-- Only lapsed admissions of a ticket are ever counted; the live one has an index of its own.
DROP INDEX admissions_by_ticket;
CREATE INDEX admissions_lapsed ON admissions (line_id, ordinal) WHERE state = 'lapsed';
-- What is to be published is nearly always to be recorded, too.
DROP INDEX admissions_to_publish, admissions_to_record;
CREATE INDEX admissions_to_tell ON admissions (line_id, issued_at)
    WHERE published_state IS DISTINCT FROM state OR recorded_state <> state;

-- One index of the open holds, for those who look at a sale's and for those who look for old ones.
DROP INDEX holds_open, holds_to_lapse;
CREATE INDEX holds_open ON holds (sale_id, expires_at) WHERE state IN ('promised', 'held');
-- A hold's sale is that of its admission, which is of a sale that exists, or of the stock that was locked to reserve it.
ALTER TABLE holds DROP CONSTRAINT holds_sale_id_fkey;
