-- The order in which admissions were made. `issued_at` does not give it: the clock of the database may have been set back between two
-- admissions of one ticket, and the older one would then be published as the newest.
ALTER TABLE admissions ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY;
