import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import type { LineMessage } from "../../src/shared/api";
import { LineConnection } from "../../src/shopper/connection";
import type { Transport } from "../../src/shopper/retry";
import type { End, Listener } from "../../src/shopper/transports";
import { seededRandom } from "./random";
import { place } from "./samples";

const STEP_MS = 10;
const SECOND_MS = 1_000;
const BUSY: End = { kind: "failed", atLeastMs: 7_000 };
const UNREACHABLE: End = { kind: "failed", atLeastMs: undefined };
const ANSWERED: End = { kind: "asked", nextInMs: 2_000 };
const DEAD: End = { kind: "closed", code: 1006 };

/** One link that a page has opened. */
interface Opened {
  atMs: number;
  transport: Transport;
  path: string;
  listener: Listener;
  closed: boolean;
}

/** A page's connection whose links a test controls. */
class Page {
  readonly links: Opened[] = [];
  readonly received: string[] = [];
  readonly lost: boolean[] = [];
  readonly refused: string[] = [];
  readonly line: LineConnection;

  constructor(random = seededRandom(1), credentials: Record<string, string> = {}) {
    this.line = new LineConnection(
      "1",
      credentials,
      {
        received: (message: LineMessage) => this.received.push(message.type),
        lost: (busy) => this.lost.push(busy),
        refused: (problem) => this.refused.push(problem.title),
      },
      {
        random,
        openLink: (transport, path, listener) => {
          const link: Opened = { atMs: Date.now(), transport, path, listener, closed: false };
          this.links.push(link);
          return { send: () => false, close: () => (link.closed = true) };
        },
      },
    );
  }

  get link(): Opened {
    const link = this.links.at(-1);
    assert.ok(link, "a link was opened");
    return link;
  }

  get transports(): Transport[] {
    return this.links.map(({ transport }) => transport);
  }

  receive(message: LineMessage = place): void {
    this.link.listener.received(JSON.stringify(message));
  }

  /** Ends the link, unless the page has closed it. */
  end(end: End): void {
    if (!this.link.closed) this.link.listener.ended(end);
  }

  /** Advances the time until the page tries again, and returns how long that took. */
  untilNextTry(withinMs = 120_000): number {
    const [tries, beganMs] = [this.links.length, Date.now()];
    while (this.links.length === tries) {
      assert.ok(Date.now() - beganMs <= withinMs, `no try within ${withinMs} ms`);
      mock.timers.tick(STEP_MS);
    }
    return Date.now() - beganMs;
  }
}

beforeEach(() => { mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_800_000_000_000 }); });
afterEach(() => { mock.timers.reset(); });

function connected(random?: () => number): Page {
  const page = new Page(random);
  page.line.open("join");
  page.receive();
  return page;
}

/** Ends the socket as refused, and waits until the page requests the reason. */
function refusedUpgrade(page: Page): void {
  page.end(DEAD);
  assert.ok(page.untilNextTry(2 * SECOND_MS) >= 0);
  assert.equal(page.link.transport, "polling");
}

describe("20,000 pages", () => {
  const CROWD = 20_000;

  for (const code of [1006, 1005, 1012]) {
    test(`whose sockets close together with ${code} reconnect evenly over five seconds`, () => {
      const random = seededRandom(code);
      const crowd = Array.from({ length: CROWD }, () => connected(random));
      const cutMs = Date.now();
      for (const page of crowd) page.end({ kind: "closed", code });
      for (let ms = 0; ms < 5 * SECOND_MS; ms += STEP_MS) mock.timers.tick(STEP_MS);
      assert.ok(crowd.every(({ transports }) => transports.join() === "socket,socket"), "each has tried once more");
      for (let second = 0; second < 5; second += 1) {
        const back = crowd.filter(({ link }) => Math.floor((link.atMs - cutMs - 1) / SECOND_MS) === second).length;
        assert.ok(Math.abs(back - CROWD / 5) < CROWD / 50, `${back} in second ${second}`);
      }
    });
  }

  test("that reach no server ask for the reason over two seconds, and retry over ten", () => {
    const random = seededRandom(3);
    const crowd = Array.from({ length: CROWD }, () => connected(random));
    for (const page of crowd) page.end(DEAD);
    mock.timers.tick(5 * SECOND_MS);
    for (const page of crowd) page.end(DEAD);
    const askedMs: number[] = crowd.map(() => 0);
    for (let ms = 0; ms < 2 * SECOND_MS; ms += STEP_MS) {
      mock.timers.tick(STEP_MS);
      crowd.forEach(({ links }, index) => { if (links.length === 3) askedMs[index] ||= ms; });
    }
    assert.ok(crowd.every(({ link }) => link.transport === "polling"));
    const early = askedMs.filter((ms) => ms < SECOND_MS).length;
    assert.ok(Math.abs(early - CROWD / 2) < CROWD / 20, `${early} in the first second`);
    const failedMs = Date.now();
    for (const page of crowd) page.end(UNREACHABLE);
    for (let ms = 0; ms < 10 * SECOND_MS; ms += STEP_MS) mock.timers.tick(STEP_MS);
    for (let second = 0; second < 10; second += 1) {
      const back = crowd.filter(({ links }) => Math.floor(((links[3]?.atMs ?? 0) - failedMs - 1) / SECOND_MS) === second).length;
      assert.ok(Math.abs(back - CROWD / 10) < CROWD / 100, `${back} in second ${second}`);
    }
  });
});

describe("a refused WebSocket", () => {
  test("leads to an inquiry, and a busy server is not contacted before its Retry-After", () => {
    const page = connected();
    page.end(DEAD);
    page.untilNextTry();
    refusedUpgrade(page);
    page.end(BUSY);
    assert.deepEqual(page.lost, [false, true]);
    page.line.wake();
    const waitedMs = page.untilNextTry();
    assert.ok(waitedMs >= 7 * SECOND_MS && waitedMs <= 17 * SECOND_MS, `${waitedMs} ms`);
    assert.equal(page.link.transport, "socket", "a busy server is no reason to change the transport");
  });

  test("with a final answer ends the connection", () => {
    const page = new Page();
    page.line.open("resume");
    refusedUpgrade(page);
    page.end({ kind: "refused", problem: { type: "about:blank", title: "No" } });
    mock.timers.tick(120_000);
    assert.deepEqual(page.refused, ["No"]);
    assert.equal(page.links.length, 2);
  });

  test("in a network without WebSockets leads to events at once, and the inquiry brings the place", () => {
    const page = new Page();
    page.line.open("join");
    refusedUpgrade(page);
    page.receive();
    page.end(ANSWERED);
    assert.deepEqual(page.transports, ["socket", "polling", "events"]);
    assert.deepEqual(page.received, ["place"]);
    assert.deepEqual(page.lost, []);
    assert.match(page.link.path, /join=false/, "with its ticket");
  });

  test("sends the shopper's credentials, if there are any", () => {
    const page = new Page(undefined, { account: "a.b&c", invitation: "x_y-z" });
    page.line.open("join");
    assert.match(page.link.path, /\/line\?account=a\.b%26c&invitation=x_y-z&traceparent=00-/);
  });

  test("leads to polling where events are blocked, too", () => {
    const page = new Page();
    page.line.open("join");
    for (let blocked = 0; blocked < 2; blocked += 1) {
      page.end(UNREACHABLE);
      page.untilNextTry();
      page.receive();
      page.end(ANSWERED);
    }
    assert.deepEqual(page.transports, ["socket", "polling", "events", "polling", "polling"]);
    page.receive();
    page.end(ANSWERED);
    assert.ok(Math.abs(page.untilNextTry() - 2 * SECOND_MS) <= STEP_MS);
    assert.equal(page.link.transport, "polling");
    assert.deepEqual(page.lost, []);
  });

  test("after WebSockets have worked is retried three times", () => {
    const page = connected();
    page.end(DEAD);
    for (let chances = 0; chances < 3; chances += 1) {
      assert.ok(page.untilNextTry() <= 5 * SECOND_MS + STEP_MS);
      assert.equal(page.link.transport, "socket");
      refusedUpgrade(page);
      page.receive();
      page.end(ANSWERED);
    }
    assert.equal(page.link.transport, "events");
    assert.deepEqual(page.lost, [false], "the inquiries kept the page up to date");
  });

  test("without any answer does not change the transport", () => {
    const page = new Page();
    page.line.open("join");
    for (let tries = 0; tries < 5; tries += 1) {
      refusedUpgrade(page);
      page.end(UNREACHABLE);
      assert.ok(page.untilNextTry() <= 5 * 2 ** Math.min(tries, 2) * SECOND_MS + STEP_MS);
      assert.equal(page.link.transport, "socket");
    }
    assert.deepEqual(page.lost, [false, false, false, false, false]);
    assert.equal(new Set(page.links.map(({ path }) => path)).size, 1, "it still joins");
  });
});

test("a link that is silent for eight seconds leads to an inquiry, too", () => {
  const page = new Page();
  page.line.open("join");
  mock.timers.tick(8 * SECOND_MS);
  assert.ok(page.link.closed);
  page.untilNextTry(2 * SECOND_MS);
  assert.equal(page.link.transport, "polling");
});

test("a poll after one that was answered is given up after four seconds, and the next after eight", () => {
  const page = new Page();
  page.line.open("join");
  for (let blocked = 0; blocked < 2; blocked += 1) {
    page.end(UNREACHABLE);
    page.untilNextTry();
    page.receive();
    page.end(ANSWERED);
  }
  page.receive();
  page.end(ANSWERED);
  page.untilNextTry();
  const poll = page.link;
  assert.equal(poll.transport, "polling");
  mock.timers.tick(3 * SECOND_MS);
  assert.deepEqual([poll.closed, page.lost], [false, []]);
  mock.timers.tick(SECOND_MS);
  assert.deepEqual([poll.closed, page.lost], [true, [false]]);
  page.untilNextTry();
  mock.timers.tick(7 * SECOND_MS);
  assert.equal(page.link.closed, false);
});

test("an outcome ends the connection", () => {
  const page = new Page();
  page.line.open("resume");
  refusedUpgrade(page);
  page.receive({ type: "over", outcome: "missed" });
  page.end(ANSWERED);
  mock.timers.tick(120_000);
  assert.deepEqual(page.received, ["over"]);
  assert.equal(page.links.length, 2);
});

test("a page that becomes visible reconnects at once, except before a time that the server named", () => {
  const page = connected();
  page.end(DEAD);
  page.line.wake();
  assert.deepEqual(page.transports, ["socket", "socket"]);
  page.line.wake();
  assert.equal(page.links.length, 2, "the link is new");
  page.end({ kind: "closed", code: 1013 });
  page.line.wake();
  assert.equal(page.links.length, 2);
  mock.timers.tick(2 * SECOND_MS);
  page.line.wake();
  assert.equal(page.links.length, 3);
});

test("a loss is reported once", () => {
  const page = connected();
  page.line.networkGone();
  page.line.networkGone();
  assert.deepEqual(page.lost, [false]);
  page.untilNextTry();
  page.receive();
  page.line.close();
  mock.timers.tick(120_000);
  assert.equal(page.links.length, 2);
});

test("the pages of a small room come back within the time that their node has announced", () => {
  const page = connected(() => 0.999);
  page.receive({ type: "heartbeat", next_in_s: 20, reconnect_within_ms: 500 });
  page.end({ kind: "closed", code: 1006 });
  const waitedMs = page.untilNextTry();
  assert.ok(waitedMs > 400 && waitedMs <= 500 + STEP_MS, `${waitedMs} ms`);
});

describe("a connection that falls silent", () => {
  /** How long a page waits for a silent link. */
  function silenceOf(page: Page): number {
    const [losses, beganMs] = [page.lost.length, Date.now()];
    while (page.lost.length === losses && Date.now() - beganMs < 120_000) mock.timers.tick(STEP_MS);
    return Date.now() - beganMs;
  }
  const heartbeat: LineMessage = { type: "heartbeat", next_in_s: 20, reconnect_within_ms: 5_000 };

  test("is noticed within 30 seconds when a heartbeat is missing", () => {
    const page = connected();
    page.receive(heartbeat);
    for (let count = 0; count < 5; count += 1) {
      mock.timers.tick(20 * SECOND_MS);
      page.receive(count % 2 === 0 ? heartbeat : place);
    }
    assert.deepEqual([page.lost, page.links.length], [[], 1]);
    const silentMs = silenceOf(page);
    assert.ok(silentMs > 20 * SECOND_MS && silentMs <= 30 * SECOND_MS, `${silentMs} ms`);
    page.untilNextTry();
    assert.deepEqual(page.transports, ["socket", "socket"], "silence is no reason to change the transport");
    assert.ok(page.received.every((type) => type !== "heartbeat"), "heartbeats are not passed on");
  });

  test("is not assumed without heartbeats, nor at once after a page was asleep", () => {
    const page = connected();
    mock.timers.tick(200 * SECOND_MS);
    assert.deepEqual(page.lost, []);
    page.receive(heartbeat);
    // While asleep timers stop, and messages that arrived are delivered after they fire.
    mock.timers.setTime(Date.now() + 100 * SECOND_MS);
    mock.timers.tick(SECOND_MS);
    page.receive(heartbeat);
    mock.timers.tick(20 * SECOND_MS);
    assert.deepEqual(page.lost, []);
  });

  test("is noticed over events", () => {
    const page = new Page();
    page.line.open("join");
    page.end(UNREACHABLE);
    page.untilNextTry();
    page.end(ANSWERED);
    assert.equal(page.link.transport, "events");
    page.receive();
    for (let heartbeats = 0; heartbeats < 5; heartbeats += 1) {
      page.receive(heartbeat);
      mock.timers.tick(20 * SECOND_MS);
    }
    assert.deepEqual(page.lost, []);
    page.receive(heartbeat);
    assert.ok(silenceOf(page) <= 30 * SECOND_MS);
  });

  test("a resting page stays disconnected until it is woken, and a restored page reconnects", () => {
    const page = connected();
    page.line.rest();
    mock.timers.tick(200 * SECOND_MS);
    assert.deepEqual([page.links.length, page.link.closed, page.lost], [1, true, []]);
    page.line.wake();
    assert.equal(page.links.length, 2);
    page.receive(heartbeat);
    page.line.wake();
    assert.equal(page.links.length, 2, "the link is still valid");
    page.line.renew();
    assert.equal(page.links.length, 3);
  });
});
