/** All sales, with live figures. */

import type { AdminSale } from "../../shared/api";
import { count, money, moment, STATUS } from "../../shared/format";
import { cloneRow, cloneTemplate, part } from "../components/element";
import { LiveUpdates } from "../live-updates";
import type { ConsoleContext, Screen } from "../screen";

export class SalesScreen implements Screen {
  readonly element = cloneTemplate("sales");
  readonly title = "Sales";
  readonly #live: LiveUpdates;
  #shown = "";

  constructor(context: ConsoleContext) {
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
    part(this.element, ".wide-table", HTMLElement).hidden = sales.length === 0;
    const rows = sales.map((sale) => [
      sale.id, sale.name, sale.status, moment(sale.opens_at), count(sale.waiting), count(sale.inside), count(sale.sold), count(sale.remaining),
      money(sale.price_minor, sale.currency), sale.rehearsal_of,
    ]);
    // Unchanged rows stay in the document, so that a focused link keeps the focus.
    const now = JSON.stringify(rows);
    if (now === this.#shown) return;
    this.#shown = now;
    const focused = this.element.contains(document.activeElement) ? document.activeElement?.getAttribute("href") : null;
    part(this.element, "tbody", HTMLElement).replaceChildren(...sales.map((sale) => this.#row(sale)));
    if (focused) this.element.querySelector<HTMLElement>(`[href="${focused}"]`)?.focus();
  }

  #row(sale: AdminSale): HTMLTableRowElement {
    const row = cloneRow(this.element, {
      name: sale.name,
      status: STATUS[sale.status],
      opens: moment(sale.opens_at),
      waiting: count(sale.waiting),
      inside: count(sale.inside),
      sold: count(sale.sold),
      remaining: count(sale.remaining),
      price: money(sale.price_minor, sale.currency),
    });
    part(row, "a", HTMLAnchorElement).href = `#/sales/${sale.id}`;
    part(row, ".badge", HTMLElement).dataset.status = sale.status;
    return row;
  }
}
