-- How a sale goes: what the controllers see of each line at every tick, and of each sale about once a second.
ALTER TABLE lines
    -- Tickets given, and admissions made.
    ADD joined   bigint NOT NULL DEFAULT 0,
    ADD admitted bigint NOT NULL DEFAULT 0,
    -- People who wait, and how many of them have the page open, as of the last tick.
    ADD waiting  bigint NOT NULL DEFAULT 0,
    ADD present  bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT lines_count_up CHECK (joined >= 0 AND admitted >= 0 AND waiting >= 0 AND present >= 0);
UPDATE lines SET joined = highest_ordinal,
    admitted = (SELECT count(*) FROM admissions WHERE line_id = lines.id AND state <> 'lapsed')
        + (SELECT count(*) FROM admissions WHERE line_id = lines.id AND state = 'lapsed');

CREATE TABLE samples (
    sale_id       uuid NOT NULL REFERENCES sales (id),
    at            timestamptz NOT NULL,
    waiting       bigint NOT NULL,
    present       bigint NOT NULL,
    -- Visits under way, from the token to the payment.
    inside        bigint NOT NULL,
    total         integer NOT NULL,
    promised      integer NOT NULL,
    held          integer NOT NULL,
    sold          integer NOT NULL,
    -- Since the sale began: tickets given, admissions made, orders paid.
    joined        bigint NOT NULL,
    admitted      bigint NOT NULL,
    orders        bigint NOT NULL,
    -- The highest ordinal of the sale's own line: who has joined when.
    highest       bigint NOT NULL,
    -- Seconds that whoever joins now would wait if it went on as in the last half minute.
    likely_wait_s bigint,
    PRIMARY KEY (sale_id, at)
);
CREATE INDEX samples_by_age ON samples (at);
