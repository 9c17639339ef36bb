-- A new epoch of a line rewrites no admission. What Redis has to hear again follows from the epoch that it was told in, and from
-- how far the turns that are over have been told again.
ALTER TABLE admissions
    -- The epoch in which the line was last told of this admission.
    ADD published_epoch integer NOT NULL DEFAULT 0;
CREATE INDEX admissions_live_to_tell ON admissions (line_id, published_epoch) WHERE state = 'promised';

ALTER TABLE interventions
    -- The epoch in which Redis was last told of a removal.
    ADD told_epoch integer NOT NULL DEFAULT 0;
CREATE INDEX interventions_to_tell ON interventions (line_id, told_epoch) WHERE kind = 'removed';

ALTER TABLE lines
    -- The Redis process that the epoch lives in, by its run_id; null before the first epoch that notes it.
    ADD home text,
    -- Epochs that were begun in short succession: the next ones come later, and grant less.
    ADD restless integer NOT NULL DEFAULT 0,
    -- Turns that are over, of tickets below this one, are still to be told again; null when all are.
    ADD retell_below bigint;
