import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Order, PlaceMessage, SaleCard, TurnMessage } from "../../src/shared/api";
import { Announcer } from "../../src/shopper/announcer";
import { viewModel, type ViewModel } from "../../src/shopper/view-model";
import { applyPlace } from "../../src/shopper/countdown";
import type { Phase, Trouble } from "../../src/shopper/state";
import * as samples from "./samples";

const SERVED = { name: "Brass lamp", opensAt: samples.sale.opens_at, status: "open", mode: "guarantee" } as const;

function shown(phase: Phase, { trouble = "none", sale = {}, nowMs = samples.NOW_MS }: { trouble?: Trouble; sale?: Partial<SaleCard>; nowMs?: number } = {}): ViewModel {
  return viewModel({ sale: { ...samples.sale, ...sale }, phase, trouble }, SERVED, { serverMs: nowMs, steadyMs: nowMs - samples.NOW_MS });
}
const waiting = (place: Partial<PlaceMessage> = {}): Phase => ({ at: "waiting", place: applyPlace(undefined, { ...samples.place, ...place }, 0) });
const joinedBy = (recalled: number): Phase => ({ at: "waiting", place: applyPlace(applyPlace(undefined, samples.place, 0), { ...samples.place, place: 17 + recalled, recalled }, 0) });
const turn = (turn: Partial<TurnMessage> = {}): Phase => ({ at: "turn", turn: { ...samples.turn, ...turn }, reserving: false, problem: "" });
const checkout = (order: Partial<Order> = {}): Phase => ({ at: "checkout", order: { ...samples.order, ...order }, paying: false, problem: "" });

test("a draw shows the number of participants, until the place is drawn", () => {
  const draw = (participants: number): Phase => ({ at: "draw", draw: { type: "draw", ordinal: 42, participants } });
  const many = shown(draw(1_030), { sale: { status: "scheduled", opens_at: "2026-11-27T09:01:00Z" } });
  assert.equal(`${many.texts.participants ?? ""} ${many.texts["in-draw"] ?? ""}`, "1,030 in the draw, including you");
  assert.deepEqual([many.texts["until-draw"], many.texts.ordinal, many.title], ["1:00", "42", "In the draw · Brass lamp"]);
  assert.equal(shown(draw(1)).texts["in-draw"], "in the draw: only you so far");
  assert.equal(shown(draw(2)).texts["until-draw"], "drawing now");
  assert.match(many.news.text, /^You are in the draw, with 1,029 other shoppers/);
});

describe("in line", () => {
  test("the place, those behind, the wait and the ticket", () => {
    const { texts, title, news } = shown(waiting());
    assert.equal(texts.place, "17");
    assert.equal(texts.ahead, "people ahead of you");
    assert.equal(texts.behind, "120");
    assert.equal(texts.wait, "20 to 40 seconds");
    assert.equal(texts.ordinal, "42");
    assert.equal(title, "17 ahead · Brass lamp");
    assert.equal(news.text, "17 people ahead of you. Estimated wait: 20 to 40 seconds.");
  });

  test("one person is singular, and place 0 is the front", () => {
    assert.equal(shown(waiting({ place: 1 })).texts.ahead, "person ahead of you");
    const next = shown(waiting({ place: 0 }));
    assert.equal(next.texts.place, "Next");
    assert.equal(next.news.text, "You are next. Estimated wait: 20 to 40 seconds.");
  });

  test("large numbers have separators", () => {
    const { texts } = shown(waiting({ place: 123_456, behind: 1_000_000 }));
    assert.equal(texts.place, "123,456");
    assert.equal(texts.ahead, "people ahead of you");
    assert.equal(texts.behind, "1,000,000");
  });

  test("a missing estimate is shown as such", () => {
    const { texts, news } = shown(waiting({ wait: null }));
    assert.equal(texts.wait, "not available yet");
    assert.equal(texts.bounds, "");
    assert.equal(news.text, "17 people ahead of you.");
  });

  test("the place counts down in every text", () => {
    const { texts, title, progress, news } = shown(waiting({ ordinal: 18 }), { nowMs: samples.NOW_MS + 5_500 });
    assert.equal(texts.place, "11");
    assert.match(title, /^11 ahead/);
    assert.equal(progress, 1 - 11 / 17);
    assert.match(news.text, /^11 people ahead/);
    assert.equal(shown(waiting(), { nowMs: samples.NOW_MS + 60_000 }).texts.place, "Next");
  });

  test("the wait is shown twice: likely range and 90 % bounds", () => {
    const { texts } = shown(waiting());
    assert.equal(texts.wait, "20 to 40 seconds");
    assert.equal(texts.bounds, "90 % of shoppers wait between 10 seconds and 2 minutes");
    assert.equal(shown(waiting({ wait: { likely_s: [20, 40], bounds_s: null } })).texts.bounds, "");
  });

  test("a wait beyond the stock is shown as such", () => {
    const beyond = shown(waiting({ beyond_stock: true }));
    assert.equal(beyond.texts.wait, "The sale may sell out before your turn.");
    assert.equal(beyond.texts.bounds, "");
    assert.ok(beyond.shown.beyond);
    assert.match(beyond.texts.beyond ?? "", /^If you stay, .*You can leave/);
    assert.equal(beyond.news.text, "17 people ahead of you. The sale may sell out before your turn.");
    assert.equal(shown(waiting()).shown.beyond, false);
    const paused = shown(waiting({ beyond_stock: true }), { sale: { status: "paused" } });
    assert.equal(paused.texts.wait, "when the sale resumes");
    assert.match(paused.texts.beyond ?? "", /sell out before your turn. If you stay,/);
  });

  test("recalled shoppers are explained beside the place, and announced with the next news", () => {
    const { texts, shown: seen, news } = shown(joinedBy(3));
    assert.equal(texts.place, "20");
    assert.ok(seen.back);
    assert.equal(texts.back, "3 people who missed their turn came back. They are served first, as you would be.");
    assert.equal(news.text, `${texts.back} 20 people ahead of you. Estimated wait: 20 to 40 seconds.`);
    assert.match(shown(joinedBy(1)).texts.back ?? "", /^1 person who missed their turn came back. They are served first/);
    assert.equal(shown(joinedBy(3), { nowMs: samples.NOW_MS + 60_000 }).shown.back, false);
    assert.equal(shown(waiting()).shown.back, false);
  });

  test("the progress goes from the end of the line to its front", () => {
    assert.equal(shown(waiting({ ordinal: 42, place: 41 })).progress, 0);
    assert.equal(shown(waiting({ ordinal: 1, place: 0 })).progress, 1);
    assert.equal(shown(waiting({ ordinal: 101, place: 25 })).progress, 0.75);
    assert.equal(shown(waiting({ ordinal: 5, place: 90 })).progress, 0, "a place from an older epoch");
  });

  test("a paused sale keeps the place", () => {
    const paused = shown(waiting(), { sale: { status: "paused" } });
    assert.ok(paused.shown.standstill);
    assert.match(paused.texts.standstill ?? "", /paused.*You keep your place/);
    assert.equal(paused.texts.wait, "when the sale resumes");
  });

  test("a scheduled sale counts down to its opening", () => {
    const scheduled = shown(waiting(), { sale: { status: "scheduled", opens_at: "2026-11-27T09:04:32Z" } });
    assert.equal(scheduled.texts["wait-label"], "Opens in");
    assert.equal(scheduled.texts.wait, "4:32");
    assert.equal(shown(waiting(), { sale: { status: "scheduled" } }).texts.wait, "any moment now");
  });

  test("the shop's message and the stock are shown as they change", () => {
    const messaged = shown(waiting(), { sale: { message: "Lamps ship on Monday." } });
    assert.ok(messaged.shown.message);
    assert.equal(messaged.texts.message, "Lamps ship on Monday.");
    assert.equal(messaged.texts.stock, "60 of 100 left");
    assert.equal(shown(waiting()).shown.message, false);
  });
});

describe("a turn and a checkout", () => {
  test("count down to their end", () => {
    assert.equal(shown(turn()).texts["turn-left"], "2:00");
    assert.match(shown(turn()).title, /^Your turn! Until \d+:02:00 · Brass lamp/);
    assert.match(shown(checkout()).title, /^Checkout until \d+:05:00 · Brass lamp/);
    assert.equal(shown(checkout()).texts["hold-left"], "5:00");
    assert.equal(shown(checkout(), { nowMs: samples.NOW_MS + 3_600_000 }).texts["hold-left"], "0:00");
  });

  test("offer a quantity only where there is a choice", () => {
    assert.equal(shown(turn()).shown["choose-quantity"], false);
    assert.match(shown(turn()).texts["set-aside"] ?? "", /^One item is/);
    const three = shown(turn({ quantity: 3 }));
    assert.equal(three.shown["choose-quantity"], true);
    assert.equal(three.quantities, 3);
    assert.match(three.texts["set-aside"] ?? "", /^3 items are/);
  });

  test("show the item and the amount", () => {
    assert.equal(shown(checkout()).texts.pay, "Pay €49.00");
    assert.equal(shown(checkout()).texts.quantity, "Brass lamp");
    assert.equal(shown(checkout({ quantity: 2, amount_minor: 9_800 })).texts.quantity, "2 × Brass lamp");
    assert.equal(shown(checkout({ quantity: 2, amount_minor: 9_800 })).texts.amount, "€98.00");
  });

  test("cannot be submitted twice", () => {
    assert.equal(shown(checkout()).sending, false);
    assert.equal(shown({ at: "checkout", order: samples.order, paying: true, problem: "" }).sending, true);
    assert.equal(shown({ at: "turn", turn: samples.turn, reserving: true, problem: "" }).sending, true);
  });
});

describe("the end", () => {
  test("an order shows its number, amount and time", () => {
    const { texts } = shown({ at: "bought", order: { ...samples.order, status: "paid", paid_at: "2026-11-27T09:01:00Z" } });
    assert.equal(texts.order, samples.order.id);
    assert.equal(texts.amount, "€49.00");
    assert.match(texts["paid-at"] ?? "", /2026/);
  });

  test("a shopper who can join again is offered it, unless the sale is over", () => {
    for (const ending of ["expired", "left", "missed", "limit", "hold_expired", "refunded", "cancelled"] as const) {
      assert.equal(shown({ at: "over", ending }).shown["may-join"], true, ending);
      assert.equal(shown({ at: "over", ending }, { sale: { status: "sold_out" } }).shown["may-join"], false, ending);
    }
    for (const ending of ["sold_out", "closed", "bought"] as const) assert.equal(shown({ at: "over", ending }).shown["may-join"], false, ending);
  });

  test("a missed turn is shown as missed", () => {
    assert.equal(shown({ at: "over", ending: "missed" }).texts.over, "You missed your turn");
  });

  test("an outcome of a later version is shown as an end", () => {
    const { texts, shown: seen } = shown({ at: "over", ending: "toString" as "left" });
    assert.equal(texts.over, "You are no longer in line");
    assert.ok(seen["may-join"]);
  });

  test("connection trouble is shown beside the last place", () => {
    const lost = shown(waiting(), { trouble: "lost" });
    assert.equal(lost.texts.place, "17");
    assert.ok(lost.shown.trouble);
    assert.match(lost.texts.trouble ?? "", /You keep your place/);
    assert.match(lost.news.text, /Connection lost/);
  });
});

describe("a screen reader", () => {
  const SECOND_MS = 1_000;

  test("announces the place at first, and then every 20 seconds", () => {
    const announcer = new Announcer();
    const announced = Array.from({ length: 60 }, (_, second) => announcer.next(shown(waiting({ place: 100 - second, rate_per_s: null })).news, second * SECOND_MS));
    assert.deepEqual(announced.flatMap((text, second) => (text === undefined ? [] : [second])), [0, 20, 40]);
    assert.match(announced[20] ?? "", /^80 people ahead/);
  });

  test("announces recalled shoppers with the next announcement", () => {
    const announcer = new Announcer();
    announcer.next(shown(waiting()).news, 0);
    assert.equal(announcer.next(shown(joinedBy(3)).news, SECOND_MS), undefined);
    assert.match(announcer.next(shown(joinedBy(3)).news, 20 * SECOND_MS) ?? "", /^3 people who missed their turn came back/);
  });

  test("does not repeat an announcement", () => {
    const announcer = new Announcer();
    assert.ok(announcer.next(shown(waiting()).news, 0));
    assert.equal(announcer.next(shown(waiting()).news, 60 * SECOND_MS), undefined);
  });

  test("announces the turn at once, and when little time is left", () => {
    const announcer = new Announcer();
    announcer.next(shown(waiting()).news, 0);
    const announced: string[] = [];
    for (let second = 0; second <= 120; second += 1) {
      const nowMs = samples.NOW_MS + second * SECOND_MS;
      const text = announcer.next(shown(turn(), { nowMs }).news, nowMs);
      if (text !== undefined) announced.push(text);
    }
    assert.deepEqual(announced, [
      "It is your turn. 2 minutes left.",
      "It is your turn. 60 seconds left.",
      "It is your turn. 30 seconds left.",
      "It is your turn. 10 seconds left.",
    ]);
  });

  test("announces a lost and a restored connection at once", () => {
    const announcer = new Announcer();
    announcer.next(shown(waiting()).news, 0);
    assert.match(announcer.next(shown(waiting(), { trouble: "lost" }).news, SECOND_MS) ?? "", /Connection lost/);
    assert.equal(announcer.next(shown(waiting(), { trouble: "lost" }).news, 2 * SECOND_MS), undefined);
    assert.match(announcer.next(shown(waiting({ place: 16 })).news, 3 * SECOND_MS) ?? "", /16 people/);
  });
});
