-- Of a line: the waiting-room nodes that were up as of the last tick, and before Redis lost it.
-- Once as many have presented the tickets of their shoppers, no connected shopper is missing.
ALTER TABLE lines
    ADD COLUMN nodes bigint NOT NULL DEFAULT 0,
    ADD COLUMN expected_nodes bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT lines_nodes_are_not_negative CHECK (nodes >= 0 AND expected_nodes >= 0);
