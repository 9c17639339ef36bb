-- The trace in which a hold began, as the W3C's `traceparent`: the sweeper, which ends holds much later, tells what it does in the
-- same trace; and the trace of what a letter tells, in which it is sent. They say what happened, not to whom; an event in the outbox
-- has its own among its data.
ALTER TABLE holds ADD COLUMN traceparent text CHECK (length(traceparent) = 55);
ALTER TABLE letters ADD COLUMN traceparent text CHECK (length(traceparent) = 55);
