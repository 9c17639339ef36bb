/** The variants of a product, in a table. */

import type { Variant, VariantFields } from "../../shared/api";
import { cloneRow, fill, part } from "../components/element";
import { OrderedRows } from "../components/ordered-rows";
import { attributesProblem, variantFields, variantTexts, type VariantTexts } from "../product-input";
import { priceProblem } from "../sale-input";

const VARIANTS_MAX = 200;
const EMPTY: VariantTexts = { sku: "", title: "", price: "", currency: "EUR", gtin: "", attributes: "" };

type Field = HTMLInputElement | HTMLTextAreaElement;

function fieldOf(row: HTMLElement, name: keyof VariantTexts): Field {
  return name === "attributes" ? part(row, "textarea", HTMLTextAreaElement) : part(row, `[name=${name}]`, HTMLInputElement);
}

function textsOf(row: HTMLElement): VariantTexts {
  const names = Object.keys(EMPTY) as (keyof VariantTexts)[];
  return Object.fromEntries(names.map((name) => [name, fieldOf(row, name).value])) as unknown as VariantTexts;
}

export class ProductVariants {
  readonly #root: HTMLElement;
  readonly #rows: OrderedRows;
  /** The variants that the rows change. */
  readonly #before = new WeakMap<HTMLTableRowElement, Variant>();

  constructor(screen: HTMLElement) {
    this.#root = part(screen, ".variants", HTMLElement);
    const add = part(this.#root, "[data-add]", HTMLButtonElement);
    this.#rows = new OrderedRows(part(this.#root, "tbody", HTMLTableSectionElement), {
      noun: "variant",
      fallback: add,
      changed: (text) => { this.#changed(text); },
    });
    add.addEventListener("click", () => { this.#add(); });
  }

  show(variants: Variant[]): void {
    this.#rows.replace(variants.map((variant) => {
      const row = this.#row(variantTexts(variant));
      this.#before.set(row, variant);
      return row;
    }));
    this.#changed("");
  }

  fields(): VariantFields[] {
    return this.#rows.rows.map((row) => variantFields(textsOf(row), this.#before.get(row)));
  }

  /** A new row. It begins with the price and the currency of the last one. */
  #add(): void {
    const last = this.#rows.rows.at(-1);
    const { price, currency } = last ? textsOf(last) : EMPTY;
    const row = this.#row({ ...EMPTY, price, currency });
    this.#rows.add(row);
    this.#changed("");
    fieldOf(row, "sku").focus();
  }

  #row(texts: VariantTexts): HTMLTableRowElement {
    const row = cloneRow(this.#root, {});
    for (const [name, text] of Object.entries(texts)) fieldOf(row, name as keyof VariantTexts).value = String(text);
    const check = (): void => {
      const { price, currency, attributes } = textsOf(row);
      const isFree = price !== "" && Number(price) <= 0;
      fieldOf(row, "price").setCustomValidity(isFree ? "The price must be above 0." : priceProblem(price, currency));
      fieldOf(row, "attributes").setCustomValidity(attributesProblem(attributes));
    };
    row.addEventListener("input", check);
    check();
    return row;
  }

  #changed(text: string): void {
    const { length } = this.#rows.rows;
    part(this.#root, ".wide-table", HTMLElement).hidden = length === 0;
    part(this.#root, "[data-add]", HTMLButtonElement).disabled = length >= VARIANTS_MAX;
    fill(this.#root, { variants: text });
  }
}
