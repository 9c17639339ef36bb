import assert from "node:assert/strict";
import { test } from "node:test";
import { COMMANDS, newSale, saleChange } from "../../src/admin/forms";

const FILLED: Record<string, string> = {
  slug: "lamp",
  name: "Brass lamp",
  description: "",
  price: "49.90",
  currency: "EUR",
  total: "100",
  per_shopper_limit: "2",
  rate_cap_per_s: "2.5",
  token_ttl_s: "120",
  claim_window_s: "15",
  hold_s: "300",
  recall_window_s: "1800",
  mode: "yield",
  risk_percent: "0.5",
};

const fill = (changes: Record<string, string> = {}) => newSale((name) => ({ ...FILLED, ...changes })[name] ?? "");

test("a filled-in form becomes a sale, with its price in minor units", () => {
  assert.deepEqual(fill(), {
    slug: "lamp",
    name: "Brass lamp",
    description: "",
    price_minor: 4_990,
    currency: "EUR",
    total: 100,
    per_shopper_limit: 2,
    rate_cap_per_s: 2.5,
    token_ttl_s: 120,
    claim_window_s: 15,
    hold_s: 300,
    recall_window_s: 1800,
    order: "fifo",
    mode: "yield",
    risk: 0.005,
  });
  assert.equal(fill({ order: "draw" }).order, "draw");
  assert.equal(fill({ inside_max: "40" }).inside_max, 40);
  assert.deepEqual([fill({}).per_account_limit, fill({ per_account_limit: "2" }).per_account_limit], [undefined, 2]);
  assert.equal(fill({ like: "0190" }).like, "0190");
  assert.equal(fill({ price: "4900", currency: "JPY" }).price_minor, 4_900);
  assert.equal(fill({ price: "0.29" }).price_minor, 29);
});

test("times are sent in UTC, and only when they are given", () => {
  assert.equal(fill({ opens_at: "2026-11-27T09:00" }).opens_at, new Date("2026-11-27T09:00").toISOString());
  assert.ok(!("ends_at" in fill({ opens_at: "2026-11-27T09:00" })));
});

test("one setting is changed at a time, and an emptied message is taken back", () => {
  assert.deepEqual(saleChange("rate_cap_per_s", "2.5"), { rate_cap_per_s: 2.5 });
  assert.deepEqual(saleChange("total", "120"), { total: 120 });
  assert.deepEqual(saleChange("message", " Soon. "), { message: "Soon." });
  assert.deepEqual(saleChange("message", "  "), { message: null });
  assert.deepEqual(saleChange("inside_max", "40"), { inside_max: 40 });
  assert.deepEqual(saleChange("inside_max", ""), { inside_max: null });
});

test("a sale that is over takes no command that would revive it", () => {
  assert.deepEqual(COMMANDS.closed, []);
  assert.deepEqual(COMMANDS.sold_out, ["close"]);
});
