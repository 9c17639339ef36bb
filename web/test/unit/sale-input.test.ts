import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdminSale } from "../../src/shared/api";
import { COMMANDS, contrast, copyFields, ink, readTheme, themeProblem, themeFields, newSale, priceProblem, saleChange } from "../../src/admin/sale-input";

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
  time_zone: "Europe/Berlin",
};

const fill = (changes: Record<string, string> = {}) => newSale((name) => ({ ...FILLED, ...changes })[name] ?? "");

test("a form becomes a sale, with its price in minor units", () => {
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
    time_zone: "Europe/Berlin",
  });
  assert.equal(fill({ order: "draw" }).order, "draw");
  assert.equal(fill({ in_checkout_max: "40" }).in_checkout_max, 40);
  assert.deepEqual([fill({}).per_account_limit, fill({ per_account_limit: "2" }).per_account_limit], [undefined, 2]);
  assert.deepEqual([fill({}).grace_s, fill({ grace_s: "45" }).grace_s], [undefined, 45]);
  assert.equal(fill({ prior_sale: "0190" }).prior_sale, "0190");
  assert.equal(fill({ price: "4900", currency: "JPY" }).price_minor, 4_900);
  assert.equal(fill({ price: "0.29" }).price_minor, 29);
});

test("a price below the smallest unit of its currency is rejected, not rounded", () => {
  assert.deepEqual([priceProblem("49.99", "EUR"), priceProblem("0.1", "EUR"), priceProblem("1.005", "KWD"), priceProblem("49.999", "E")], ["", "", "", ""]);
  assert.equal(priceProblem("49.999", "EUR"), "The smallest amount in this currency is €0.01.");
  assert.match(priceProblem("49.5", "JPY"), /¥1/);
});

test("times are entered in the zone of the sale and sent in UTC, if they are given", () => {
  assert.equal(fill({ opens_at: "2026-11-27T09:00" }).opens_at, "2026-11-27T08:00:00.000Z");
  assert.equal(fill({ ends_at: "2026-07-01T09:00", time_zone: "America/New_York" }).ends_at, "2026-07-01T13:00:00.000Z");
  assert.ok(!("ends_at" in fill({ opens_at: "2026-11-27T09:00" })));
});

test("one setting is changed at a time, and an empty message removes the message", () => {
  assert.deepEqual(saleChange("rate_cap_per_s", "2.5"), { rate_cap_per_s: 2.5 });
  assert.deepEqual(saleChange("total", "120"), { total: 120 });
  assert.deepEqual(saleChange("message", " Soon. "), { message: "Soon." });
  assert.deepEqual(saleChange("message", "  "), { message: null });
  assert.deepEqual(saleChange("in_checkout_max", "40"), { in_checkout_max: 40 });
  assert.deepEqual(saleChange("in_checkout_max", ""), { in_checkout_max: null });
});

test("a sale that is over cannot be reopened", () => {
  assert.deepEqual(COMMANDS.closed, []);
  assert.deepEqual(COMMANDS.sold_out, ["close"]);
});

test("a theme has only the custom texts, and colours only where they are enabled", () => {
  const read = (fields: Record<string, string>) => readTheme((name) => fields[name] ?? "");
  assert.deepEqual(read({ accent: "#2743d2", paper: "#ffffff" }), {});
  assert.deepEqual(read({ accent: "#7a0019", has_accent: "on", turn_text: " Now! " }), { accent: "#7a0019", turn_text: "Now!" });
  const shown = { paper: "#ffffff", sold_out_text: "Gone." };
  assert.deepEqual(readTheme((name) => themeFields(shown)[name] ?? ""), shown);
  assert.deepEqual([themeProblem({}), themeProblem({ paper: "#ffffff" })], ["", ""]);
  assert.match(themeProblem({ accent: "#ffee00" }), /accent/);
  assert.match(themeProblem({ paper: "#333333" }), /background/);
  assert.deepEqual(fill({ has_paper: "on", paper: "#ffffff" }).theme, { paper: "#ffffff" });
});

test("a copy fills the form, except for the slug and a past opening", () => {
  const original = {
    slug: "lamp", name: "Lamp", description: "Brass.", price_minor: 4_990, currency: "EUR", total: 100, per_shopper_limit: 2, rate_cap_per_s: 2.5,
    in_checkout_max: null, token_ttl_s: 120, claim_window_s: 15, hold_s: 300, recall_window_s: 1800, order: "draw", mode: "yield", risk: 0.005,
    time_zone: "Europe/Berlin", opens_at: "2020-01-01T00:00:00Z", theme: { accent: "#7a0019", waiting_text: "Tea." },
  } as unknown as AdminSale;
  const copy = copyFields(original);
  assert.deepEqual([copy.slug, copy.opens_at, copy.price, copy.in_checkout_max, copy.risk_percent], ["", "", "49.9", "", "0.5"]);
  assert.deepEqual([copy.has_accent, copy.accent, copy.has_paper, copy.waiting_text], ["on", "#7a0019", "", "Tea."]);
  const again = newSale((name) => ({ ...copy, slug: "lamp-2" })[name] ?? "");
  assert.deepEqual([again.price_minor, again.order, again.mode, again.risk, again.theme], [4_990, "draw", "yield", 0.005, original.theme]);
});

test("contrast follows WCAG, and ink is the colour with more contrast", () => {
  assert.equal(Math.round(contrast("#000000", "#ffffff")), 21);
  assert.ok(contrast("#777777", "#ffffff") < 4.5 && contrast("#767676", "#ffffff") > 4.5);
  assert.deepEqual([ink("#ffee00"), ink("#2743d2")], ["#000000", "#ffffff"]);
});
