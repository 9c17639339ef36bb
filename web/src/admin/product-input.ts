/** Converts between the fields of the product editor and the products of the API. Pure. */

import type { Attribute, ImportReport, Variant, VariantFields } from "../shared/api";
import { count, majorUnits, minorUnits, plural } from "../shared/format";

/** Attributes as text: a line for each, such as `Material: leather`. */
export function attributesText(attributes: readonly Attribute[]): string {
  return attributes.map(({ name, value }) => `${name}: ${value}`).join("\n");
}

/** Why a text has no attributes that the controller accepts; empty if it does. */
export function attributesProblem(text: string): string {
  const wrong = lines(text).find((line) => !/^[^:]*[^:\s][^:]*:.*\S/.test(line));
  return wrong === undefined ? "" : `Write one attribute per line, such as Material: leather. This line lacks a name or a value: ${wrong}`;
}

/** Reads the attributes of a text. The first colon of a line separates the name. */
export function parseAttributes(text: string): Attribute[] {
  return lines(text).map((line) => {
    const at = line.indexOf(":");
    return { name: line.slice(0, at).trim(), value: line.slice(at + 1).trim() };
  });
}

function lines(text: string): string[] {
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
}

/** The fields of one variant in the editor, as text. */
export interface VariantTexts {
  sku: string;
  title: string;
  price: string;
  currency: string;
  gtin: string;
  attributes: string;
}

/** The texts of a variant. */
export function variantTexts(variant: Variant): VariantTexts {
  const { sku, title, price_minor: priceMinor, currency, gtin, attributes } = variant;
  return { sku, title, price: String(majorUnits(priceMinor, currency)), currency, gtin: gtin ?? "", attributes: attributesText(attributes) };
}

/**
 * The variant in the editor. `before`: the variant that it changes. Attributes whose text is
 * unchanged stay as they are.
 */
export function variantFields(texts: VariantTexts, before: Variant | undefined): VariantFields {
  const isUnchanged = before !== undefined && attributesText(before.attributes) === texts.attributes;
  return {
    ...(before && { id: before.id }),
    sku: texts.sku.trim(),
    title: texts.title.trim(),
    attributes: isUnchanged ? before.attributes : parseAttributes(texts.attributes),
    price_minor: minorUnits(Number(texts.price), texts.currency),
    currency: texts.currency,
    gtin: texts.gtin.trim() || null,
  };
}

/** What an import changes, for readers. */
export function importCounts(report: ImportReport): string {
  const products = (n: number): string => plural(n, "product", "products");
  const variants = (n: number): string => plural(n, "variant", "variants");
  const created = `${products(report.products_created)} and ${variants(report.variants_created)} created`;
  const changed = `${products(report.products_changed)} and ${variants(report.variants_changed)} changed`;
  return `${plural(report.rows, "row", "rows")}: ${created}, ${changed}.`;
}

/** What the check of a table has found, for readers. */
export function importOutcome(report: ImportReport): string {
  if (report.error_count === 0) return report.dry_run ? "The file is valid" : "Products imported";
  const listed = report.errors.length < report.error_count ? `, of which the first ${count(report.errors.length)} are listed` : "";
  return `${plural(report.error_count, "error", "errors")}${listed}: nothing was imported`;
}
