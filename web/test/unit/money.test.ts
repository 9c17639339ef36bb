/** Amounts are the same on pages, in services and on the command line: all go by the table of crates/sale. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { MINOR_DIGITS } from "../../src/shared/currencies";
import { majorUnits, minorUnits, money } from "../../src/shared/format";

/** Currency, minor units, and the amount as services and the command line write it. */
const AMOUNTS = JSON.parse(readFileSync("test/unit/amounts.json", "utf8")) as [string, number, string][];

/** Digits and the decimal point, without signs and separators. */
const plain = (text: string): string => text.replace(/[^0-9.]/g, "");

test("a page writes every amount as the services do", () => {
  assert.ok(AMOUNTS.length > 100);
  for (const [currency, minor, text] of AMOUNTS) assert.equal(plain(money(minor, currency)), plain(text), `${String(minor)} ${currency}`);
  assert.equal(plain(money(9_900, "HUF")), "99.00");
  assert.equal(plain(money(500, "ISK")), "500");
});

test("every currency of the browser is written with the decimals of our table, and read back", () => {
  const currencies = Intl.supportedValuesOf("currency");
  assert.ok(currencies.length > 100);
  for (const currency of currencies) {
    const digits = MINOR_DIGITS[currency] ?? 2;
    // At the end: some symbols have a dot, too.
    assert.equal(/\.(\d+)$/.exec(money(12_345, currency))?.[1]?.length ?? 0, digits, currency);
    for (const minor of [1, 29, 9_900]) assert.equal(minorUnits(majorUnits(minor, currency), currency), minor, currency);
  }
});
