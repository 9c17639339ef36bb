import assert from "node:assert/strict";
import { test } from "node:test";
import { TRACEPARENT } from "../../src/shared/telemetry";

test("the requests of a page belong to one trace", () => {
  assert.match(TRACEPARENT, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  assert.doesNotMatch(TRACEPARENT, /-0+-/);
});
