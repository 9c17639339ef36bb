/** Pages, services and the command line format amounts alike, with the table of crates/sale. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { MINOR_DIGITS } from "../../src/shared/currencies";
import { majorUnits, minorUnits, money } from "../../src/shared/format";

/** Currency, minor units, and the amount as services and the command line format it. */
const AMOUNTS = JSON.parse(readFileSync("test/unit/amounts.json", "utf8")) as [string, number, string][];

/** Digits and the decimal point, without signs and separators. */
const plain = (text: string): string => text.replace(/[^0-9.]/g, "");

test("a page formats every amount as the services do", () => {
  assert.ok(AMOUNTS.length > 100);
  for (const [currency, minor, text] of AMOUNTS) assert.equal(plain(money(minor, currency)), plain(text), `${String(minor)} ${currency}`);
  assert.equal(plain(money(9_900, "HUF")), "99.00");
  assert.equal(plain(money(500, "ISK")), "500");
});

test("every currency of the browser has the decimals of the table, both formatted and parsed", () => {
  const currencies = Intl.supportedValuesOf("currency");
  assert.ok(currencies.length > 100);
  for (const currency of currencies) {
    const digits = MINOR_DIGITS[currency] ?? 2;
    // Anchored at the end, since some symbols contain a dot.
    assert.equal(/\.(\d+)$/.exec(money(12_345, currency))?.[1]?.length ?? 0, digits, currency);
    for (const minor of [1, 29, 9_900]) assert.equal(minorUnits(majorUnits(minor, currency), currency), minor, currency);
  }
});
