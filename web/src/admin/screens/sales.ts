/** All sales, as they are now. */

import type { AdminSale } from "../../shared/api";
import { count, money, moment, STATUS } from "../../shared/format";
import { cloneTemplate, element, part, row, table } from "../components/element";
import { LiveUpdates } from "../live-updates";
import type { ConsoleContext, Screen } from "../screen";

export class SalesScreen implements Screen {
  readonly element = cloneTemplate("sales");
  readonly title = "Sales";
  readonly #live: LiveUpdates;
  readonly #table = table("Sales", ["Sale", "Status", "Opens", "Waiting", "In checkout", "Sold", "Available", "Price"]);
  #shown = "";

  constructor(context: ConsoleContext) {
    part(this.element, "[data-list]", HTMLElement).append(this.#table.element);
    part(this.element, "[data-new]", HTMLElement).hidden = !context.may("operator");
    this.#live = new LiveUpdates(context.client, undefined, {
      updated: (update) => { if (update.type === "sales") this.#show(update.sales); },
      staleSince: context.staleSince,
      refused: (answer) => { context.unwrap(answer); },
      ended: context.ended,
    });
  }

  leave(): void {
    this.#live.close();
  }

  #show(sales: AdminSale[]): void {
    part(this.element, "#no-sales", HTMLElement).hidden = sales.length > 0;
    this.#table.element.hidden = sales.length === 0;
    const rows = sales.map((sale) => [
      sale.id, sale.name, sale.status, moment(sale.opens_at), count(sale.waiting), count(sale.inside), count(sale.sold), count(sale.remaining),
      money(sale.price_minor, sale.currency), sale.rehearsal_of,
    ]);
    // Links are left alone while nothing changes, so that the keyboard keeps its place.
    const now = JSON.stringify(rows);
    if (now === this.#shown) return;
    this.#shown = now;
    const focused = this.element.contains(document.activeElement) ? document.activeElement?.getAttribute("href") : null;
    this.#table.body.replaceChildren(...sales.map((sale) => this.#row(sale)));
    if (focused) this.element.querySelector<HTMLElement>(`[href="${focused}"]`)?.focus();
  }

  #row(sale: AdminSale): HTMLTableRowElement {
    const name = element("a", { href: `#/sales/${sale.id}` }, sale.name);
    const status = element("span", { class: "badge", "data-status": sale.status }, STATUS[sale.status]);
    return row([
      name, status, moment(sale.opens_at), count(sale.waiting), count(sale.inside), count(sale.sold), count(sale.remaining),
      money(sale.price_minor, sale.currency),
    ]);
  }
}
