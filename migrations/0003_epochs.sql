-- A line's ordinals are granted to Redis in ranges, so that a new epoch, begun after a loss of Redis, can start above
-- every ordinal that may have been given in the last one. Ordinals are thereby unique in a sale, over all its epochs.
ALTER TABLE lines
    ADD granted bigint NOT NULL DEFAULT 0,
    ADD epoch_began_at timestamptz NOT NULL DEFAULT now(),
    -- Epoch 0: no Redis has heard of the line yet.
    ALTER epoch SET DEFAULT 0,
    DROP CONSTRAINT lines_move_forward;
UPDATE lines SET granted = highest_ordinal;
ALTER TABLE lines
    ADD CONSTRAINT lines_move_forward CHECK (epoch >= 0 AND cursor >= 0 AND highest_ordinal >= cursor),
    ADD CONSTRAINT lines_grant_before_they_give CHECK (granted >= highest_ordinal);

DROP INDEX admissions_one_live_per_ticket;
CREATE UNIQUE INDEX admissions_one_live_per_ticket ON admissions (sale_id, ordinal) WHERE state <> 'lapsed';
-- How often a ticket's turn came and went.
CREATE INDEX admissions_by_ticket ON admissions (sale_id, ordinal);

-- For how long after its turn a ticket is still recalled when its shopper comes back.
ALTER TABLE sales
    ADD recall_window_s integer NOT NULL DEFAULT 1800,
    ADD CONSTRAINT sales_recall_window_is_positive CHECK (recall_window_s > 0);
