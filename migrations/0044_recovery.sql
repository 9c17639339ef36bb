-- A lost line waits for its shoppers: how many it expects, and until when it waits at most.
ALTER TABLE lines
    ADD expected       bigint NOT NULL DEFAULT 0,
    ADD recovers_until timestamptz,
    ADD CONSTRAINT lines_expect_shoppers CHECK (expected >= 0);
