-- What happened, for those outside: written in the transaction of its cause, relayed to a stream in Redis.

-- Events of a sale are numbered in its stock's row, which their causes change anyway, and last: so numbers have no gaps and
-- follow the order of the commits.
ALTER TABLE stock ADD COLUMN events bigint NOT NULL DEFAULT 0;

CREATE TABLE outbox (
    sale_id     uuid NOT NULL REFERENCES sales (id),
    -- The number of the last event in this row.
    number      bigint NOT NULL,
    kind        text NOT NULL,
    -- One object for each event of the row, in order: redemptions that are committed together share a row.
    data        json NOT NULL,
    happened_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sale_id, number),
    CONSTRAINT outbox_numbers_count_up CHECK (json_array_length(data) > 0 AND number >= json_array_length(data))
);
CREATE INDEX outbox_by_age ON outbox (happened_at);

-- Up to which event each sale's have been relayed.
CREATE TABLE relays (
    sale_id uuid PRIMARY KEY REFERENCES sales (id),
    number  bigint NOT NULL
) WITH (fillfactor = 50);
