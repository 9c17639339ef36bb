-- The trace in which a hold began, as the W3C's `traceparent`: the sweeper, which ends holds much later, tells what it does in the
-- same trace. It says what happened, not to whom; an event in the outbox has it among its data.
ALTER TABLE holds ADD COLUMN traceparent text CHECK (length(traceparent) = 55);
