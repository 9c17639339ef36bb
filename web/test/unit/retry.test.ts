import assert from "node:assert/strict";
import { test } from "node:test";
import { retryAfterMs } from "../../src/http";
import { Ladder, retryDelayMs } from "../../src/shopper/retry";

test("the back-off is spread over everything below a ceiling that doubles", () => {
  assert.equal(retryDelayMs({ failures: 0 }, 0), 0);
  assert.equal(retryDelayMs({ failures: 0 }, 0.5), 250);
  assert.equal(retryDelayMs({ failures: 1 }, 0.5), 500);
  assert.equal(retryDelayMs({ failures: 3 }, 0.5), 2_000);
});

test("the ceiling stops growing, however long the outage", () => {
  assert.equal(retryDelayMs({ failures: 6 }, 1), 20_000);
  assert.equal(retryDelayMs({ failures: 1_000_000 }, 1), 20_000);
});

test("a crowd that was cut off together comes back evenly", () => {
  const crowd = Array.from({ length: 1_000 }, (_, shopper) => retryDelayMs({ failures: 0, spreadMs: 5_000 }, shopper / 1_000));
  for (let second = 0; second < 5; second += 1) {
    const back = crowd.filter((delay) => Math.floor(delay / 1_000) === second).length;
    assert.equal(back, 200, `in second ${second}`);
  }
});

test("nobody comes back before the time that the server named", () => {
  assert.equal(retryDelayMs({ failures: 0, atLeastMs: 7_000 }, 0), 7_000);
  assert.ok(retryDelayMs({ failures: 2, atLeastMs: 7_000 }, 0.9) > 7_000);
});

test("Retry-After is read in seconds, and only when it is a number", () => {
  assert.equal(retryAfterMs("3"), 3_000);
  assert.equal(retryAfterMs("0"), 0);
  assert.equal(retryAfterMs(null), undefined);
  assert.equal(retryAfterMs("soon"), undefined);
  assert.equal(retryAfterMs("-1"), undefined);
});

test("a way that never worked is given up at once, and the first comes round again", () => {
  const ladder = new Ladder();
  const tried = [ladder.transport];
  for (let failure = 0; failure < 3; failure += 1) {
    ladder.failed();
    tried.push(ladder.transport);
  }
  assert.deepEqual(tried, ["socket", "events", "polling", "socket"]);
});

test("a way that has worked is tried three times before the next", () => {
  const ladder = new Ladder();
  ladder.worked();
  ladder.failed();
  ladder.failed();
  assert.equal(ladder.transport, "socket");
  ladder.worked();
  ladder.failed();
  ladder.failed();
  assert.equal(ladder.transport, "socket", "success starts the count again");
  ladder.failed();
  assert.equal(ladder.transport, "events");
});

test("a change of network starts from the best way again", () => {
  const ladder = new Ladder();
  ladder.failed();
  ladder.failed();
  assert.equal(ladder.transport, "polling");
  ladder.startOver();
  assert.equal(ladder.transport, "socket");
});
