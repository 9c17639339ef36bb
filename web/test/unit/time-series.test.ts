import assert from "node:assert/strict";
import { test } from "node:test";
import type { Sample } from "../../src/shared/api";
import { conversions, merged, moments, perSecond, rates } from "../../src/admin/time-series";

function sample(second: number, totals: Partial<Sample> = {}): Sample {
  return {
    at: new Date(second * 1000).toISOString(), waiting: 0, present: 0, inside: 0, total: 10, promised: 0, held: 0, sold: 0, joined: 0, admitted: 0,
    orders: 0, likely_wait_s: null, ...totals,
  };
}

test("samples of a new connection replace earlier samples of the same time", () => {
  const known = [sample(1), sample(2), sample(3)];
  assert.deepEqual(merged(known, [sample(3, { joined: 5 }), sample(4)]).map(({ joined }) => joined), [0, 0, 5, 0]);
  assert.deepEqual(merged(known, []), known);
  assert.deepEqual(moments(known), [1, 2, 3]);
});

test("a rate is a mean over five seconds, including seconds without samples", () => {
  const steady = Array.from({ length: 20 }, (_, second) => sample(second, { joined: second * 10 }));
  assert.equal(rates(steady, ({ joined }) => joined).at(-1), 10);
  const burst = [sample(0), sample(10), sample(11, { joined: 50 }), sample(20, { joined: 50 })];
  assert.deepEqual(rates(burst, ({ joined }) => joined), [0, 0, 10, 0]);
  const thinned = [sample(0), sample(20, { joined: 200 }), sample(40, { joined: 400 })];
  assert.deepEqual(rates(thinned, ({ joined }) => joined), [0, 10, 10]);
  assert.deepEqual(rates([], ({ joined }) => joined), []);
});

test("conversion is empty before the first admission", () => {
  assert.deepEqual(conversions([sample(0), sample(1, { admitted: 4, orders: 1 })]), [null, 25]);
  assert.deepEqual([perSecond(0.25), perSecond(1234.5)], ["0.3", "1,235"]);
});
