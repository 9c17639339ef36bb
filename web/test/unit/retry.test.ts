import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readFailure, retryAfterMs } from "../../src/shared/http";
import { isUnexplained, TransportFallback, retryDelayMs, waitAfter } from "../../src/shopper/retry";

test("the back-off spreads over a time that doubles with each failure", () => {
  assert.equal(retryDelayMs({ failures: 0 }, 0), 0);
  assert.equal(retryDelayMs({ failures: 0 }, 0.5), 250);
  assert.equal(retryDelayMs({ failures: 1 }, 0.5), 500);
  assert.equal(retryDelayMs({ failures: 3 }, 0.5), 2_000);
  assert.equal(retryDelayMs({ failures: 2, spreadMs: 5_000 }, 0.5), 10_000);
});

test("the back-off has an upper limit", () => {
  assert.equal(retryDelayMs({ failures: 6 }, 1), 30_000);
  assert.equal(retryDelayMs({ failures: 1_000_000 }, 1), 30_000);
});

test("pages that lose their connections together return evenly over five seconds", () => {
  for (const end of [{ kind: "closed", code: 1006 }, { kind: "closed", code: 1005 }, { kind: "closed", code: 1012 }, { kind: "failed", atLeastMs: undefined }] as const) {
    const crowd = Array.from({ length: 1_000 }, (_, shopper) => retryDelayMs(waitAfter(end, 0), shopper / 1_000));
    for (let second = 0; second < 5; second += 1) {
      const back = crowd.filter((delay) => Math.floor(delay / 1_000) === second).length;
      assert.equal(back, 200, `${JSON.stringify(end)} in second ${second}`);
    }
    assert.equal(retryDelayMs(waitAfter(end, 1), 0.999), 9_990, "and over ten after a failure");
  }
});

test("a small room is back at once, and soon after any outage", () => {
  const failed = { kind: "failed", atLeastMs: undefined } as const;
  const longest = [0, 1, 2, 3, 20].map((failures) => retryDelayMs(waitAfter(failed, failures, 500), 1));
  assert.deepEqual(longest, [500, 1_000, 1_000, 1_000, 1_000]);
});

test("no page returns before the time that the server named, and pages spread out after it", () => {
  const busy = waitAfter({ kind: "failed", atLeastMs: 7_000 }, 0);
  assert.equal(retryDelayMs(busy, 0), 7_000);
  assert.equal(retryDelayMs(busy, 0.5), 9_500);
  const later = waitAfter({ kind: "closed", code: 1013 }, 0);
  assert.equal(retryDelayMs(later, 0), 2_000);
  assert.equal(retryDelayMs(later, 0.5), 9_500);
});

describe("Retry-After", () => {
  const NOW_MS = Date.parse("2026-11-27T09:00:00Z");

  test("is a number of seconds or an HTTP date", () => {
    assert.equal(retryAfterMs("3", NOW_MS), 3_000);
    assert.equal(retryAfterMs("0", NOW_MS), 0);
    assert.equal(retryAfterMs("99999999999999999999", NOW_MS), 3_600_000, "at most an hour");
    assert.equal(retryAfterMs("Fri, 27 Nov 2026 09:00:30 GMT", NOW_MS), 30_000);
    assert.equal(retryAfterMs("Friday, 27-Nov-26 09:00:30 GMT", NOW_MS), 30_000);
    assert.equal(retryAfterMs("Fri, 27 Nov 2026 08:00:00 GMT", NOW_MS), 0);
  });

  test("is ignored in any other form", () => {
    for (const header of [null, "", "soon", "-1", "1.5", "3 apples", "2026-11-27T09:00:30Z", "Fri, 99 Nov 2026 09:00:30 GMT"]) {
      assert.equal(retryAfterMs(header, NOW_MS), undefined, String(header));
    }
  });

  test("as a date is relative to the server's clock", async () => {
    const headers = { "retry-after": "Fri, 27 Nov 2026 09:00:30 GMT", date: "Fri, 27 Nov 2026 09:00:00 GMT" };
    assert.deepEqual(await readFailure(new Response("", { status: 503, headers })), { kind: "failed", atLeastMs: 30_000 });
  });
});

test("a rate limit is retried, and a problem that names no time is shown", async () => {
  const problem = { type: "/problems/too-many-codes", title: "Too many codes were requested" };
  const answer = async (status: number, headers: Record<string, string>) => await readFailure(new Response(JSON.stringify(problem), { status, headers }));
  const problemJson = { "content-type": "application/problem+json" };
  assert.deepEqual(await answer(429, problemJson), { kind: "refused", problem });
  assert.deepEqual(await answer(429, { ...problemJson, "retry-after": "3" }), { kind: "failed", atLeastMs: 3_000 });
  assert.deepEqual(await answer(429, {}), { kind: "failed", atLeastMs: undefined }, "of a proxy");
  assert.deepEqual(await answer(503, problemJson), { kind: "failed", atLeastMs: undefined });
});

test("only an end with an instruction is explained", () => {
  for (const code of [1000, 1005, 1006, 1008, 1011]) assert.ok(isUnexplained({ kind: "closed", code }), String(code));
  assert.ok(isUnexplained({ kind: "failed", atLeastMs: undefined }));
  for (const code of [1012, 1013]) assert.ok(!isUnexplained({ kind: "closed", code }), String(code));
  assert.ok(!isUnexplained({ kind: "failed", atLeastMs: 0 }));
  assert.ok(!isUnexplained({ kind: "refused", problem: { type: "about:blank", title: "No" } }));
  assert.ok(!isUnexplained({ kind: "asked", nextInMs: 2_000 }));
});

test("a transport that never worked is given up at once, and the first follows the last", () => {
  const ladder = new TransportFallback();
  const tried = [ladder.transport];
  for (let times = 0; times < 3; times += 1) {
    assert.ok(ladder.blocked());
    tried.push(ladder.transport);
  }
  assert.deepEqual(tried, ["socket", "events", "polling", "socket"]);
});

test("a transport that has worked is tried three times before the next", () => {
  const ladder = new TransportFallback();
  ladder.worked();
  assert.deepEqual([ladder.blocked(), ladder.blocked(), ladder.transport], [false, false, "socket"]);
  ladder.worked();
  assert.deepEqual([ladder.blocked(), ladder.blocked(), ladder.transport], [false, false, "socket"], "a success resets the count");
  assert.deepEqual([ladder.blocked(), ladder.transport], [true, "events"]);
});

test("a change of network starts again with the best transport", () => {
  const ladder = new TransportFallback();
  ladder.blocked();
  ladder.blocked();
  assert.equal(ladder.transport, "polling");
  ladder.startOver();
  assert.equal(ladder.transport, "socket");
});
