/** One sale on the console: its counters, its commands, its settings. */

import type { AdminSale, SaleChange, SaleCommand } from "../api";
import { Lanes, type LanesListener } from "./lanes";
import { count, money, moment, plural, STATUS } from "../words";
import { COMMANDS, saleChange } from "./forms";

export interface PanelListener {
  command(panel: SalePanel, command: SaleCommand): void;
  change(panel: SalePanel, change: SaleChange): void;
  lanes(panel: SalePanel): LanesListener;
}

const PARTS = ["sold", "held", "promised", "remaining"] as const;

export class SalePanel {
  readonly element: HTMLElement;
  readonly id: string;
  readonly #lanes: Lanes;

  constructor(template: HTMLTemplateElement, sale: AdminSale, listener: PanelListener) {
    const copy = template.content.cloneNode(true) as DocumentFragment;
    const element = copy.querySelector("article");
    if (!element) throw new Error("the page's template holds no article");
    this.element = element;
    this.id = sale.id;
    for (const button of element.querySelectorAll<HTMLElement>("[data-command]")) {
      button.addEventListener("click", () => { listener.command(this, button.dataset.command as SaleCommand); });
    }
    for (const form of element.querySelectorAll<HTMLFormElement>("[data-change]")) {
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        const input = form.querySelector("input");
        if (!input) return;
        delete input.dataset.touched;
        listener.change(this, saleChange(form.dataset.change as keyof SaleChange, input.value));
      });
      form.addEventListener("input", () => { form.querySelector("input")?.setAttribute("data-touched", ""); });
    }
    const lanes = element.querySelector<HTMLElement>(".lanes");
    if (!lanes) throw new Error("the page's template holds no lanes");
    this.#lanes = new Lanes(lanes, listener.lanes(this));
    this.show(sale);
  }

  show(sale: AdminSale): void {
    const texts: Record<string, string> = {
      name: sale.name,
      status: STATUS[sale.status],
      facts: `${money(sale.price_minor, sale.currency)} · ${plural(sale.total, "unit", "units")} · ${sale.status === "scheduled" ? "opens" : "opened"} ${moment(sale.opens_at)}`,
      waiting: sale.waiting === null ? "not known" : count(sale.waiting),
      decision: sale.last_decision ?? "none yet",
    };
    for (const counter of [...PARTS, "admitted", "cursor"] as const) texts[counter] = count(sale[counter]);
    for (const element of this.element.querySelectorAll<HTMLElement>("[data-text]")) {
      element.textContent = texts[element.dataset.text ?? ""] ?? "";
    }
    this.element.querySelector(".badge")?.setAttribute("data-status", sale.status);
    this.#showBar(sale);
    for (const button of this.element.querySelectorAll<HTMLElement>("[data-command]")) {
      button.hidden = !COMMANDS[sale.status].includes(button.dataset.command as SaleCommand);
    }
    this.#showSettings(sale);
    this.#lanes.show(sale);
  }

  complain(text: string): void {
    const warning = this.element.querySelector(".warning");
    if (warning) warning.textContent = text;
  }

  #showBar(sale: AdminSale): void {
    for (const part of PARTS) this.element.querySelector<HTMLElement>(`.bar [data-part=${part}]`)?.style.setProperty("flex-grow", String(sale[part]));
    this.element.querySelector(".bar")?.setAttribute("aria-label", `Of ${count(sale.total)} units: ${PARTS.map((part) => `${count(sale[part])} ${part}`).join(", ")}`);
  }

  /** A setting follows the sale until the operator starts to type. */
  #showSettings(sale: AdminSale): void {
    for (const form of this.element.querySelectorAll<HTMLElement>("[data-change]")) {
      const input = form.querySelector("input");
      const value = String(sale[form.dataset.change as keyof SaleChange] ?? "");
      if (input && input.dataset.touched === undefined && input.value !== value) input.value = value;
    }
  }
}
