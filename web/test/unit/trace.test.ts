import assert from "node:assert/strict";
import { test } from "node:test";
import { traceparent } from "../../src/trace";

test("what a page asks for is one trace, each request a step of its own", () => {
  const [first, second] = [traceparent(), traceparent()].map((text) => /^00-([0-9a-f]{32})-([0-9a-f]{16})-01$/.exec(text));
  assert.ok(first && second);
  assert.equal(first[1], second[1]);
  assert.notEqual(first[2], second[2]);
});
