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

describe("the phases of a sale", () => {
  test("from the outside to the order", () => {
    const steps: [Event, string][] = [
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
    for (const [event, phase] of steps) {
      state = reduce(state, event);
      assert.equal(state.phase.at, phase, JSON.stringify(event));
    }
  });

  test("a page starts with the status that it was served with", () => {
    assert.equal(initialState("scheduled").phase.at, "outside");
    assert.equal(initialState("paused").phase.at, "outside");
    assert.deepEqual(initialState("sold_out").phase, { at: "over", ending: "sold_out" });
    assert.deepEqual(initialState("closed").phase, { at: "over", ending: "closed" });
  });

  test("every outcome is shown", () => {
    for (const outcome of ["sold_out", "closed", "expired", "left", "missed", "limit"] as const) {
      assert.deepEqual(after(join, line(place), over(outcome)).phase, { at: "over", ending: outcome });
    }
  });

  test("after an expired or missed turn the shopper can join again", () => {
    assert.equal(after(join, line(place), over("missed"), join, line({ ...place, ordinal: 80 })).phase.at, "waiting");
    assert.equal(after(join, line(turn), over("expired"), join, line(place)).phase.at, "waiting");
  });
});

describe("a turn", () => {
  test("that is repeated keeps the shopper's request", () => {
    const state = after(line(turn), { type: "reserve" }, line({ ...turn }));
    assert.ok(state.phase.at === "turn" && state.phase.reserving);
  });

  test("with another token starts over", () => {
    const state = after(line(turn), { type: "reserve" }, line({ ...turn, token: "d.e.f" }));
    assert.ok(state.phase.at === "turn" && !state.phase.reserving);
  });

  test("that was not claimed leads back into the line", () => {
    assert.equal(after(line(turn), line(place)).phase.at, "waiting");
  });

  test("shows the problem that prevented its use", () => {
    const state = after(line(turn), { type: "reserve" }, { type: "reserve-failed", problem: problem("sale-not-open", "The sale is paused.") });
    assert.ok(state.phase.at === "turn" && !state.phase.reserving && state.phase.problem === "A title. The sale is paused.");
  });

  test("that requires an account hides its problem after the sign-in", () => {
    const state = after(line(turn), { type: "reserve" }, { type: "reserve-failed", problem: problem("account-required", "Sign in.") }, { type: "signed-in" });
    assert.ok(state.phase.at === "turn" && state.phase.problem === "");
    assert.deepEqual(after(line(place), { type: "signed-in" }), after(line(place)));
  });

  test("used in another tab leads to its order", () => {
    assert.deepEqual(after(line(turn), over("bought")).phase, { at: "joining", seeking: "order" });
  });

  test("used in this tab waits for the response", () => {
    assert.equal(after(line(turn), { type: "reserve" }, over("bought")).phase.at, "turn");
  });
});

describe("an order", () => {
  test("is kept whatever messages of the line follow", () => {
    for (const message of [place, turn, { type: "over", outcome: "bought" }, { type: "over", outcome: "sold_out" }] as const) {
      assert.equal(after(held, line(message)).phase.at, "checkout", message.type);
    }
  });

  test("that was declined shows it and can be paid again", () => {
    const state = after(held, { type: "pay" }, { type: "pay-failed", problem: problem("payment-declined") });
    assert.ok(state.phase.at === "checkout" && !state.phase.paying && state.phase.problem === "A title");
    const again = reduce(state, { type: "pay" });
    assert.ok(again.phase.at === "checkout" && again.phase.paying && again.phase.problem === "");
  });

  test("that is repeated while it is being paid stays so", () => {
    const state = after(held, { type: "pay" }, held);
    assert.ok(state.phase.at === "checkout" && state.phase.paying);
  });

  test("declined after it was pending leads back to checkout", () => {
    const state = after(held, { type: "order", order: { ...order, status: "payment_pending" } }, held);
    assert.ok(state.phase.at === "checkout" && state.phase.problem.includes("declined"));
  });

  test("withdrawn while it is pending leads back to checkout, without a message of a declined payment", () => {
    const pending: Event = { type: "order", order: { ...order, status: "payment_pending" } };
    const back = after(held, pending, { type: "withdrawn", order });
    assert.ok(back.phase.at === "checkout" && back.phase.problem === "" && !back.phase.paying);
    const late = after(held, pending, { type: "withdrawn", order: { ...order, status: "expired" } });
    assert.deepEqual(late.phase, { at: "over", ending: "hold_expired" });
    const refused = after(held, pending, { type: "withdraw-failed", problem: problem("unavailable", "Try again.") });
    assert.ok(refused.phase.at === "pending" && refused.phase.problem !== "");
    assert.ok(reduce(refused, pending).phase.at === "pending");
  });

  test("that expired, was refunded or cancelled is over, and the shopper can join again", () => {
    for (const status of ["expired", "refunded", "cancelled"] as const) {
      const state = after(held, { type: "order", order: { ...order, status } });
      assert.deepEqual(state.phase, { at: "over", ending: status === "expired" ? "hold_expired" : status });
      assert.equal([join, line(place)].reduce(reduce, state).phase.at, "waiting");
    }
  });
});

describe("the connection", () => {
  test("lost and regained keeps the place", () => {
    const lost = after(join, line(place), { type: "lost", busy: false });
    assert.equal(lost.trouble, "lost");
    assert.ok(lost.phase.at === "waiting" && placeAt(lost.phase.place, 0) === 17);
    assert.equal(reduce(lost, line(place)).trouble, "none");
  });

  test("to a busy server is marked as busy", () => {
    assert.equal(after(join, { type: "lost", busy: true }).trouble, "busy");
  });

  test("to a node that lost the line keeps the place", () => {
    const state = after(line(place), line({ type: "reconnecting", retry_after_ms: 1_500 }));
    assert.equal(state.trouble, "line-recovering");
    assert.equal(state.phase.at, "waiting");
  });
});

describe("the countdown", () => {
  const shownAt = (state: State, nowMs: number): number => (state.phase.at === "waiting" ? placeAt(state.phase.place, nowMs) : NaN);

  test("continues from message to message", () => {
    const state = reduceAt(after(line(place)), line({ ...place, place: 20 }), 2_000);
    assert.equal(shownAt(state, 2_000), 15, "15 was shown before");
    assert.equal(shownAt(reduceAt(state, line({ ...place, place: 20, recalled: 1 }), 2_000), 2_000), 16, "one shopper was recalled");
  });

  test("stops when the sale pauses, and when the speed of the line is unknown", () => {
    for (const event of [
      line({ type: "sale", sale: { ...sale, status: "paused" } }),
      line({ type: "reconnecting", retry_after_ms: 1_500 }),
      { type: "lost", busy: false },
    ] as const) {
      assert.equal(shownAt(reduceAt(after(line(place)), event, 3_000), 60_000), 14, event.type);
    }
  });

  test("comes with the remaining units", () => {
    const state = after(line({ type: "sale", sale }), line({ ...place, remaining: 7 }));
    assert.deepEqual(state.sale, { ...sale, remaining: 7 });
    assert.deepEqual(reduce(state, line({ ...place, remaining: null })).sale, state.sale);
    assert.equal(after(line(place)).sale, undefined);
  });

  test("ignores other changes of the sale", () => {
    const state = reduceAt(after(line(place)), line({ type: "sale", sale: { ...sale, remaining: 3 } }), 3_000);
    assert.equal(shownAt(state, 5_000), 12);
  });

  test("for a new ticket, or after a turn, starts over", () => {
    assert.equal(shownAt(after(line(place), line(turn), line({ ...place, place: 30 })), 0), 30);
    assert.deepEqual(after(line({ ...place, place: 3 }), line({ ...place, ordinal: 80, place: 30 })).phase, { at: "waiting", place: applyPlace(undefined, { ...place, ordinal: 80, place: 30 }, 0) });
  });
});

describe("a refusal", () => {
  test("for a missing ticket leads outside, without a message", () => {
    assert.deepEqual(after({ type: "resume" }, { type: "refused", problem: problem("missing-ticket") }).phase, { at: "outside", problem: "" });
  });

  test("because the sale is over shows the end, and then how the sale ended", () => {
    const state = after(join, { type: "refused", problem: problem("sale-over") });
    assert.deepEqual(state.phase, { at: "over", ending: "closed" });
    assert.deepEqual(reduce(state, { type: "sale", sale: { ...sale, status: "sold_out" } }).phase, { at: "over", ending: "sold_out" });
  });

  test("of any other kind is shown outside", () => {
    assert.deepEqual(after(join, { type: "refused", problem: problem("origin-not-allowed", "Wrong origin.") }).phase, { at: "outside", problem: "A title. Wrong origin." });
  });
});

describe("the status of the sale", () => {
  test("moves shoppers who are not in line", () => {
    assert.equal(after({ type: "sale", sale: { ...sale, status: "sold_out" } }).phase.at, "over");
    assert.equal(after({ type: "sale", sale: { ...sale, status: "sold_out" } }, { type: "sale", sale }).phase.at, "outside", "a unit became available");
  });

  test("does not move shoppers in line", () => {
    assert.equal(after(line(place), { type: "sale", sale: { ...sale, status: "sold_out" } }).phase.at, "waiting");
    assert.deepEqual(after(line(turn), over("expired"), { type: "sale", sale }).phase, { at: "over", ending: "expired" });
  });
});

test("a draw precedes the place, survives a lost connection, and ends with a place", () => {
  const draw = { type: "draw", ordinal: 7, participants: 30 } as const;
  const drawn = after(join, line(draw));
  assert.deepEqual(drawn.phase, { at: "draw", draw });
  const lost = reduce(drawn, { type: "lost", busy: false });
  assert.deepEqual([lost.phase, lost.trouble], [drawn.phase, "lost"]);
  assert.equal(reduce(lost, line(place)).phase.at, "waiting");
});
