import assert from "node:assert/strict";
import { test } from "node:test";
import { duration, money, plural, waitBounds, waitRange } from "../../src/shared/format";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

test("a countdown shows only the units it needs, and stops at zero", () => {
  assert.equal(duration(9_000), "0:09");
  assert.equal(duration(8_001), "0:09");
  assert.equal(duration(12 * MINUTE_MS + 34_000), "12:34");
  assert.equal(duration(HOUR_MS + 2 * MINUTE_MS + 3_000), "1:02:03");
  assert.equal(duration(24 * HOUR_MS), "1 day 0:00:00");
  assert.equal(duration(49 * HOUR_MS + 3_000), "2 days 1:00:03");
  assert.equal(duration(0), "0:00");
  assert.equal(duration(-5_000), "0:00");
});

test("a wait is a rounded range", () => {
  assert.equal(waitRange([1, 3]), "a few seconds");
  assert.equal(waitRange([20, 40]), "20 to 40 seconds");
  assert.equal(waitRange([18, 41]), "15 to 45 seconds");
  assert.equal(waitRange([2, 30]), "up to 30 seconds");
  assert.equal(waitRange([130, 230]), "2 to 4 minutes");
  assert.equal(waitRange([40, 170]), "up to 3 minutes");
  assert.equal(waitRange([120, 120]), "about 2 minutes");
  assert.equal(waitRange([4_000, 9_000]), "1 to 3 hours");
  assert.equal(waitRange([3_600, 7_200 / 2 * 1.6]), "1 to 2 hours");
});

test("the bounds of a wait read as a phrase", () => {
  assert.equal(waitBounds([10, 90]), "between 10 seconds and 2 minutes");
  assert.equal(waitBounds([12, 48]), "between 10 and 50 seconds");
  assert.equal(waitBounds([42, 170]), "between 40 seconds and 3 minutes");
  assert.equal(waitBounds([130, 600]), "between 2 and 10 minutes");
  assert.equal(waitBounds([600, 30_000]), "between 10 minutes and 9 hours");
  assert.equal(waitBounds([2, 30]), "up to 30 seconds");
  assert.equal(waitBounds([0, 0]), "up to 5 seconds");
  assert.equal(waitBounds([120, 120]), "about 2 minutes");
});

test("an amount has the decimals of its currency", () => {
  assert.equal(money(4_900, "EUR"), "€49.00");
  assert.equal(money(4_905, "GBP"), "£49.05");
  assert.equal(money(4_900, "JPY"), "JP¥4,900");
  assert.equal(money(0, "EUR"), "€0.00");
});

test("a count of one is singular", () => {
  assert.equal(plural(1, "person", "people"), "1 person");
  assert.equal(plural(0, "person", "people"), "0 people");
  assert.equal(plural(12_345, "person", "people"), "12,345 people");
});
