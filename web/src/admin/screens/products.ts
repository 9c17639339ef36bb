/** The products of the catalogue, with a search. */

import type { ProductSummary } from "../../shared/api";
import { field } from "../../shared/form-field";
import { count, moment } from "../../shared/format";
import { cloneRow, cloneTemplate, fill, part } from "../components/element";
import type { ConsoleContext, Screen } from "../screen";

export class ProductsScreen implements Screen {
  readonly element = cloneTemplate("products");
  readonly title = "Products";
  readonly #context: ConsoleContext;
  readonly #form = part(this.element, "form", HTMLFormElement);
  readonly #more = part(this.element, "[data-more]", HTMLButtonElement);
  #next: string | undefined;
  /** Numbers the searches: the result of an earlier one is not shown. */
  #search = 0;

  constructor(context: ConsoleContext) {
    this.#context = context;
    for (const link of this.element.querySelectorAll<HTMLElement>("[data-editors]")) link.hidden = !context.may("operator");
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#read(undefined);
    });
    part(this.#form, "select", HTMLSelectElement).addEventListener("change", () => void this.#read(undefined));
    this.#more.addEventListener("click", () => void this.#read(this.#next));
    void this.#read(undefined);
  }

  async #read(before: string | undefined): Promise<void> {
    const search = ++this.#search;
    const [text, archived] = [field(this.#form, "search"), field(this.#form, "archived") !== ""];
    const page = this.#context.unwrap(await this.#context.client.products(text, archived, before));
    if (!page || search !== this.#search) return;
    const body = part(this.element, "tbody", HTMLTableSectionElement);
    const rows = page.products.map((product) => this.#row(product));
    if (before === undefined) body.replaceChildren(...rows);
    else body.append(...rows);
    // The reader continues at the first new row.
    if (before !== undefined) rows[0]?.querySelector("a")?.focus();
    this.#next = page.next ?? undefined;
    this.#more.hidden = page.next === null;
    part(this.element, "div.panel", HTMLElement).hidden = body.rows.length === 0;
    const none = text !== "" ? "No matching products." : archived ? "No archived products." : "No products yet. Create the first one, or import a CSV file.";
    const found = body.rows.length === 0 ? none : text === "" ? "" : `${count(body.rows.length)} found.`;
    fill(this.element, { found });
    part(this.element, "[data-text=found]", HTMLElement).hidden = found === "";
  }

  #row(product: ProductSummary): HTMLTableRowElement {
    const row = cloneRow(this.element, {
      name: product.name,
      sku: product.first_sku ?? "",
      variants: count(product.variants),
      changed: moment(product.updated_at),
    });
    part(row, "a", HTMLAnchorElement).href = `#/products/${product.id}`;
    const image = part(row, "img", HTMLImageElement);
    const path = product.image?.sizes[0]?.path;
    if (path === undefined) image.remove();
    else image.src = path;
    return row;
  }
}
