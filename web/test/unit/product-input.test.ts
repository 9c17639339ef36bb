import assert from "node:assert/strict";
import { test } from "node:test";
import { attributesProblem, attributesText, importCounts, importOutcome, parseAttributes, variantFields, variantTexts } from "../../src/admin/product-input";
import type { ImportReport, Variant } from "../../src/shared/api";

const variant: Variant = {
  id: "6f9a1f3e-0000-4000-8000-000000000001",
  sku: "SHOE-42",
  title: "EU 42",
  attributes: [{ name: "Size", value: "42" }],
  price_minor: 12_900,
  currency: "EUR",
  gtin: null,
};

test("attributes are text, a line for each, and are read back", () => {
  const attributes = [{ name: "Material", value: "leather" }, { name: "Care", value: "wipe: do not wash" }];
  assert.equal(attributesText(attributes), "Material: leather\nCare: wipe: do not wash");
  assert.deepEqual(parseAttributes(attributesText(attributes)), attributes);
  assert.deepEqual(parseAttributes(" Size :42 \n\n"), [{ name: "Size", value: "42" }]);
  assert.deepEqual(parseAttributes(""), []);
});

test("a line without a name or a value is a problem", () => {
  for (const text of ["", "Size: 42", "a:b:c\n\n d : e "]) assert.equal(attributesProblem(text), "", text);
  for (const text of ["Size", "Size:", ": 42", "Size: 42\nColour"]) assert.match(attributesProblem(text), /lacks a name or a value/, text);
});

test("a variant becomes fields and keeps its id", () => {
  const texts = variantTexts(variant);
  assert.deepEqual(texts, { sku: "SHOE-42", title: "EU 42", price: "129", currency: "EUR", gtin: "", attributes: "Size: 42" });
  assert.deepEqual(variantFields(texts, variant), variant);
  const changed = variantFields({ ...texts, sku: " NEW ", price: "99.90", gtin: "4006381333931", attributes: "Size: 43" }, undefined);
  assert.deepEqual(changed, { sku: "NEW", title: "EU 42", attributes: [{ name: "Size", value: "43" }], price_minor: 9_990, currency: "EUR", gtin: "4006381333931" });
  assert.equal(variantFields({ ...texts, price: "500", currency: "JPY" }, variant).price_minor, 500);
});

test("an unchanged text keeps attributes that it can't express", () => {
  const odd: Variant = { ...variant, attributes: [{ name: "a:b", value: "c" }] };
  assert.deepEqual(variantFields(variantTexts(odd), odd).attributes, odd.attributes);
});

test("an import is described", () => {
  const report: ImportReport = {
    dry_run: true, rows: 3, products_created: 1, products_changed: 0, variants_created: 2, variants_changed: 1, errors: [], error_count: 0,
  };
  assert.equal(importCounts(report), "3 rows: 1 product and 2 variants created, 0 products and 1 variant changed.");
  assert.equal(importOutcome(report), "The file is valid");
  assert.equal(importOutcome({ ...report, dry_run: false }), "Products imported");
  const errors = [{ line: 2, column: "price", detail: "It must be above 0." }];
  assert.equal(importOutcome({ ...report, errors, error_count: 1 }), "1 error: nothing was imported");
  assert.equal(importOutcome({ ...report, errors, error_count: 500 }), "500 errors, of which the first 1 are listed: nothing was imported");
});
