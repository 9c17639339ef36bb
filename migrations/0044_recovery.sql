-- While a line that was lost waits for the shoppers who were there before: how many they were, and until when it waits at most.
ALTER TABLE lines
    ADD expected       bigint NOT NULL DEFAULT 0,
    ADD recovers_until timestamptz,
    ADD CONSTRAINT lines_expect_shoppers CHECK (expected >= 0);
