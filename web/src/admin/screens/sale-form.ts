/** A sale in one form, with a preview of what shoppers will see. */

import type { AdminSale } from "../../shared/api";
import { field } from "../../shared/form-field";
import { count, minorUnits, money, plural } from "../../shared/format";
import { cloneTemplate, fill, fillForm, part } from "../components/element";
import { copyFields, ink, readTheme, themeProblem, newSale, DEFAULT_COLOURS, priceProblem } from "../sale-input";
import type { ConsoleContext, Screen } from "../screen";
import { momentIn, zonedTime, zones } from "../time-zone";

export class SaleForm implements Screen {
  readonly element = cloneTemplate("sale-form");
  readonly title = "New sale";
  readonly #context: ConsoleContext;
  readonly #form = part(this.element, "form", HTMLFormElement);
  readonly #preview = part(this.element, ".preview", HTMLElement);

  constructor(context: ConsoleContext, copied: string | undefined) {
    this.#context = context;
    const { own, all } = zones();
    const zone = part(this.#form, "[name=time_zone]", HTMLSelectElement);
    zone.append(...all.map((name) => new Option(name, name, name === own, name === own)));
    this.#form.addEventListener("input", () => { this.#show(); });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#create();
    });
    void this.#offer(copied);
    this.#show();
  }

  /** Lists sales to learn from, which have admitted shoppers, and copies the chosen original. */
  async #offer(copied: string | undefined): Promise<void> {
    const sales = this.#context.unwrap(await this.#context.client.sales())?.sales ?? [];
    const prior = part(this.#form, "[name=prior_sale]", HTMLSelectElement);
    prior.append(...sales.filter(({ admitted }) => admitted > 0).map(({ id, name }) => new Option(name, id)));
    if (copied === undefined) return;
    const original = sales.find(({ id }) => id === copied) ?? this.#context.unwrap(await this.#context.client.sale(copied));
    if (original) this.#copy(original);
  }

  #copy(original: AdminSale): void {
    part(this.element, "h1", HTMLElement).textContent = `Copy of ${original.name}`;
    fillForm(this.#form, copyFields(original));
    this.#show();
  }

  #show(): void {
    const typed = (name: string): string => field(this.#form, name);
    const asked = readTheme(typed);
    const { accent, paper } = { ...DEFAULT_COLOURS, ...asked };
    this.#preview.style.setProperty("--accent", accent);
    this.#preview.style.setProperty("--on-accent", ink(accent));
    this.#preview.style.setProperty("--paper", paper);
    const zone = typed("time_zone") || "UTC";
    const opens = typed("opens_at");
    const price = Number(typed("price"));
    const currency = /^[A-Z]{3}$/.test(typed("currency")) ? typed("currency") : "EUR";
    fill(this.#preview, {
      name: typed("name") || "Product name",
      description: typed("description"),
      price: Number.isFinite(price) ? money(minorUnits(price, currency), currency) : "",
      stock: `${plural(Number(typed("total")) || 0, "unit", "units")}, ${count(Number(typed("per_shopper_limit")) || 1)} per shopper`,
      waiting_text: typed("waiting_text"),
      turn_text: typed("turn_text") || "It’s your turn.",
      sold_out_text: typed("sold_out_text"),
    });
    const instant = opens === "" ? undefined : zonedTime(opens, zone);
    const window = instant === undefined ? "Opens immediately." : `Opens ${momentIn(instant.toISOString(), zone)} (${zone}), ${momentIn(instant.toISOString(), zones().own)} in your time zone.`;
    fill(this.element, { window, contrast: themeProblem(asked) });
    part(this.#form, "[name=price]", HTMLInputElement).setCustomValidity(priceProblem(typed("price"), typed("currency")));
  }

  async #create(): Promise<void> {
    const button = part(this.#form, ".button", HTMLButtonElement);
    button.disabled = true;
    const sale = this.#context.unwrap(await this.#context.client.create(newSale((name) => field(this.#form, name))));
    button.disabled = false;
    if (sale) location.hash = `#/sales/${sale.id}`;
  }
}
