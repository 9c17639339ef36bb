import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LineMessage, Outcome, Problem } from "../../src/shared/api";
import { applyPlace, placeAt } from "../../src/shopper/countdown";
import { initialState, reduce as reduceAt, type Event, type State } from "../../src/shopper/state";
import { order, place, sale, turn } from "./samples";

const line = (message: LineMessage): Event => ({ type: "line", message });
const over = (outcome: Outcome): Event => line({ type: "over", outcome });
const reduce = (state: State, event: Event): State => reduceAt(state, event, 0);
const after = (...events: Event[]): State => events.reduce(reduce, initialState("open"));
const problem = (slug: string, detail?: string): Problem => ({ type: `/problems/${slug}`, title: "A title", ...(detail ? { detail } : {}) });

const join: Event = { type: "join" };
const held: Event = { type: "order", order };

describe("the way through a sale", () => {
  test("from the door to the order", () => {
    const way: [Event, string][] = [
      [join, "joining"],
      [line({ type: "sale", sale }), "joining"],
      [line(place), "waiting"],
      [line({ ...place, place: 0 }), "waiting"],
      [line(turn), "turn"],
      [{ type: "reserve" }, "turn"],
      [held, "checkout"],
      [{ type: "pay" }, "checkout"],
      [{ type: "order", order: { ...order, status: "payment_pending" } }, "pending"],
      [{ type: "order", order: { ...order, status: "paid" } }, "bought"],
    ];
    let state = initialState("open");
    for (const [event, phase] of way) {
      state = reduce(state, event);
      assert.equal(state.phase.at, phase, JSON.stringify(event));
    }
  });

  test("a page starts with what it was served with", () => {
    assert.equal(initialState("scheduled").phase.at, "outside");
    assert.equal(initialState("paused").phase.at, "outside");
    assert.deepEqual(initialState("sold_out").phase, { at: "over", ending: "sold_out" });
    assert.deepEqual(initialState("closed").phase, { at: "over", ending: "closed" });
  });

  test("every outcome is told", () => {
    for (const outcome of ["sold_out", "closed", "expired", "left", "missed", "limit"] as const) {
      assert.deepEqual(after(join, line(place), over(outcome)).phase, { at: "over", ending: outcome });
    }
  });

  test("after a turn that ran out, or that was missed, the shopper may join again", () => {
    assert.equal(after(join, line(place), over("missed"), join, line({ ...place, ordinal: 80 })).phase.at, "waiting");
    assert.equal(after(join, line(turn), over("expired"), join, line(place)).phase.at, "waiting");
  });
});

describe("a turn", () => {
  test("told twice keeps what the shopper has begun with it", () => {
    const state = after(line(turn), { type: "reserve" }, line({ ...turn }));
    assert.ok(state.phase.at === "turn" && state.phase.reserving);
  });

  test("of another token starts afresh", () => {
    const state = after(line(turn), { type: "reserve" }, line({ ...turn, token: "d.e.f" }));
    assert.ok(state.phase.at === "turn" && !state.phase.reserving);
  });

  test("that nobody claimed leads back into the line", () => {
    assert.equal(after(line(turn), line(place)).phase.at, "waiting");
  });

  test("shows why it could not be used, in the problem's own words", () => {
    const state = after(line(turn), { type: "reserve" }, { type: "reserve-failed", problem: problem("sale-not-open", "The sale is paused.") });
    assert.ok(state.phase.at === "turn" && !state.phase.reserving && state.phase.problem === "A title. The sale is paused.");
  });

  test("that needed an account complains no longer once somebody is signed in", () => {
    const state = after(line(turn), { type: "reserve" }, { type: "reserve-failed", problem: problem("account-needed", "Sign in.") }, { type: "signed-in" });
    assert.ok(state.phase.at === "turn" && state.phase.problem === "");
    assert.deepEqual(after(line(place), { type: "signed-in" }), after(line(place)));
  });

  test("used in another tab brings its order here", () => {
    assert.deepEqual(after(line(turn), over("bought")).phase, { at: "joining", seeking: "order" });
  });

  test("used in this tab waits for its own answer", () => {
    assert.equal(after(line(turn), { type: "reserve" }, over("bought")).phase.at, "turn");
  });
});

describe("an order", () => {
  test("is not lost to what the line still says", () => {
    for (const message of [place, turn, { type: "over", outcome: "bought" }, { type: "over", outcome: "sold_out" }] as const) {
      assert.equal(after(held, line(message)).phase.at, "checkout", message.type);
    }
  });

  test("that was declined may be paid again, and says so", () => {
    const state = after(held, { type: "pay" }, { type: "pay-failed", problem: problem("payment-declined") });
    assert.ok(state.phase.at === "checkout" && !state.phase.paying && state.phase.problem === "A title");
    const again = reduce(state, { type: "pay" });
    assert.ok(again.phase.at === "checkout" && again.phase.paying && again.phase.problem === "");
  });

  test("told again while it is being paid stays so", () => {
    const state = after(held, { type: "pay" }, held);
    assert.ok(state.phase.at === "checkout" && state.phase.paying);
  });

  test("declined after the bank took its time leads back to the cards", () => {
    const state = after(held, { type: "order", order: { ...order, status: "payment_pending" } }, held);
    assert.ok(state.phase.at === "checkout" && state.phase.problem.includes("declined"));
  });

  test("withdrawn by the shopper while it is pending leads back to the cards, and no bank has declined it", () => {
    const pending: Event = { type: "order", order: { ...order, status: "payment_pending" } };
    const back = after(held, pending, { type: "withdrawn", order });
    assert.ok(back.phase.at === "checkout" && back.phase.problem === "" && !back.phase.paying);
    const late = after(held, pending, { type: "withdrawn", order: { ...order, status: "lapsed" } });
    assert.deepEqual(late.phase, { at: "over", ending: "lapsed" });
    const refused = after(held, pending, { type: "withdraw-failed", problem: problem("unavailable", "Try again.") });
    assert.ok(refused.phase.at === "pending" && refused.phase.problem !== "");
    assert.ok(reduce(refused, pending).phase.at === "pending");
  });

  test("that lapsed, was refunded or given back is over, and the shopper may join again", () => {
    for (const status of ["lapsed", "refunded", "cancelled"] as const) {
      const state = after(held, { type: "order", order: { ...order, status } });
      assert.deepEqual(state.phase, { at: "over", ending: status });
      assert.equal([join, line(place)].reduce(reduce, state).phase.at, "waiting");
    }
  });
});

describe("the connection", () => {
  test("lost and regained leaves the shopper in place", () => {
    const lost = after(join, line(place), { type: "lost", busy: false });
    assert.equal(lost.trouble, "lost");
    assert.ok(lost.phase.at === "waiting" && placeAt(lost.phase.place, 0) === 17);
    assert.equal(reduce(lost, line(place)).trouble, "none");
  });

  test("to a busy shop says so", () => {
    assert.equal(after(join, { type: "lost", busy: true }).trouble, "busy");
  });

  test("to a node that lost the line keeps the place", () => {
    const state = after(line(place), line({ type: "reconnecting", retry_after_ms: 1_500 }));
    assert.equal(state.trouble, "line-recovering");
    assert.equal(state.phase.at, "waiting");
  });
});

describe("the count", () => {
  const shownAt = (state: State, nowMs: number): number => (state.phase.at === "waiting" ? placeAt(state.phase.place, nowMs) : NaN);

  test("goes on from message to message", () => {
    const state = reduceAt(after(line(place)), line({ ...place, place: 20 }), 2_000);
    assert.equal(shownAt(state, 2_000), 15, "it had been shown");
    assert.equal(shownAt(reduceAt(state, line({ ...place, place: 20, recalled: 1 }), 2_000), 2_000), 16, "somebody came back");
  });

  test("stops when the sale pauses, and when nobody can tell how the line moves", () => {
    for (const event of [
      line({ type: "sale", sale: { ...sale, status: "paused" } }),
      line({ type: "reconnecting", retry_after_ms: 1_500 }),
      { type: "lost", busy: false },
    ] as const) {
      assert.equal(shownAt(reduceAt(after(line(place)), event, 3_000), 60_000), 14, event.type);
    }
  });

  test("comes with the number of units that are left", () => {
    const state = after(line({ type: "sale", sale }), line({ ...place, remaining: 7 }));
    assert.deepEqual(state.sale, { ...sale, remaining: 7 });
    assert.deepEqual(reduce(state, line({ ...place, remaining: null })).sale, state.sale);
    assert.equal(after(line(place)).sale, undefined);
  });

  test("takes no notice of the sale's other news", () => {
    const state = reduceAt(after(line(place)), line({ type: "sale", sale: { ...sale, remaining: 3 } }), 3_000);
    assert.equal(shownAt(state, 5_000), 12);
  });

  test("of a new ticket, or after a turn, begins anew", () => {
    assert.equal(shownAt(after(line(place), line(turn), line({ ...place, place: 30 })), 0), 30);
    assert.deepEqual(after(line({ ...place, place: 3 }), line({ ...place, ordinal: 80, place: 30 })).phase, { at: "waiting", place: applyPlace(undefined, { ...place, ordinal: 80, place: 30 }, 0) });
  });
});

describe("a refusal", () => {
  test("for want of a ticket leads to the door, silently", () => {
    assert.deepEqual(after({ type: "resume" }, { type: "refused", problem: problem("no-ticket") }).phase, { at: "outside", problem: "" });
  });

  test("because the sale is over says so, and then which way it ended", () => {
    const state = after(join, { type: "refused", problem: problem("sale-over") });
    assert.deepEqual(state.phase, { at: "over", ending: "closed" });
    assert.deepEqual(reduce(state, { type: "sale", sale: { ...sale, status: "sold_out" } }).phase, { at: "over", ending: "sold_out" });
  });

  test("of any other kind is told at the door", () => {
    assert.deepEqual(after(join, { type: "refused", problem: problem("foreign-origin", "Not from there.") }).phase, { at: "outside", problem: "A title. Not from there." });
  });
});

describe("the status of the sale", () => {
  test("moves those who are not in line", () => {
    assert.equal(after({ type: "sale", sale: { ...sale, status: "sold_out" } }).phase.at, "over");
    assert.equal(after({ type: "sale", sale: { ...sale, status: "sold_out" } }, { type: "sale", sale }).phase.at, "outside", "a unit came back");
  });

  test("does not move those who are", () => {
    assert.equal(after(line(place), { type: "sale", sale: { ...sale, status: "sold_out" } }).phase.at, "waiting");
    assert.deepEqual(after(line(turn), over("expired"), { type: "sale", sale }).phase, { at: "over", ending: "expired" });
  });
});

test("a draw comes before every place, outlives a loss of the connection, and a place ends it", () => {
  const draw = { type: "draw", ordinal: 7, participants: 30 } as const;
  const drawn = after(join, line(draw));
  assert.deepEqual(drawn.phase, { at: "draw", draw });
  const lost = reduce(drawn, { type: "lost", busy: false });
  assert.deepEqual([lost.phase, lost.trouble], [drawn.phase, "lost"]);
  assert.equal(reduce(lost, line(place)).phase.at, "waiting");
});
