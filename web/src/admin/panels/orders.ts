/** The orders of one sale: search, refund, cancel. */

import type { AdminOrder } from "../../shared/api";
import { field } from "../../shared/form-field";
import { count, minorUnits, money, plural } from "../../shared/format";
import { confirmed } from "../components/confirm";
import { cloneRow, part } from "../components/element";
import type { ConsoleContext } from "../screen";

const STATUS: Record<AdminOrder["status"], string> = {
  promised: "Promised", held: "Held", payment_pending: "Payment pending", paid: "Paid", expired: "Expired", refunded: "Refunded", cancelled: "Cancelled",
};

/** The actions that an order allows now. */
export function actionsOf({ status, amount_minor, refunded_minor, request }: AdminOrder): ("refund" | "cancel")[] {
  if (request?.state === "requested") return [];
  if (status === "paid" && refunded_minor < amount_minor) return ["refund"];
  return status === "held" || status === "promised" || status === "payment_pending" ? ["cancel"] : [];
}

/** The state of a refund or cancellation request. */
export function requestText({ request }: AdminOrder): string {
  if (request === null || request.state === "done") return "";
  const what = request.kind === "refund" ? "Refund" : "Cancellation";
  return request.state === "requested" ? `${what} requested` : `${what} failed: ${request.error ?? "unknown reason"}`;
}

export class Orders {
  readonly #element: HTMLElement;
  readonly #context: ConsoleContext;
  readonly #sale: string;
  #search = "";
  #next: string | undefined;

  constructor(root: HTMLElement, context: ConsoleContext, sale: string) {
    this.#element = root;
    this.#context = context;
    this.#sale = sale;
    part(root, "form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#search = field(event.currentTarget as HTMLFormElement, "search");
      void this.#load(undefined);
    });
    part(root, "[data-more]", HTMLButtonElement).addEventListener("click", () => void this.#load(this.#next));
  }

  async #load(before: string | undefined): Promise<void> {
    const page = this.#context.unwrap(await this.#context.client.orders(this.#sale, this.#search, before));
    if (!page) return;
    this.#next = page.next ?? undefined;
    const body = part(this.#element, "tbody", HTMLTableSectionElement);
    const rows = page.orders.map((order) => this.#row(order));
    if (before === undefined) body.replaceChildren(...rows);
    else body.append(...rows);
    part(this.#element, "[data-found]", HTMLElement).textContent = body.rows.length === 0 ? "No orders found." : plural(body.rows.length, "order", "orders");
    part(this.#element, "[data-more]", HTMLButtonElement).hidden = this.#next === undefined;
  }

  #row(order: AdminOrder): HTMLTableRowElement {
    const row = cloneRow(this.#element, {
      id: order.id,
      status: STATUS[order.status],
      units: count(order.quantity),
      amount: money(order.amount_minor, order.currency),
      refunded: order.refunded_minor > 0 ? money(order.refunded_minor, order.currency) : "–",
      dispute: order.dispute?.replaceAll("_", " ") ?? "–",
      ticket: order.ordinal === null ? "–" : `#${count(order.ordinal)}`,
      email: order.address ?? "–",
      request: requestText(order),
    });
    const actions = this.#context.may("operator") ? actionsOf(order) : [];
    for (const button of row.querySelectorAll("button")) {
      const action = button.dataset.do as "refund" | "cancel";
      button.hidden = !actions.includes(action);
      button.addEventListener("click", () => void (action === "refund" ? this.#refund(order) : this.#cancel(order)));
    }
    return row;
  }

  async #refund(order: AdminOrder): Promise<void> {
    const left = order.amount_minor - order.refunded_minor;
    const typed = window.prompt(`Refund amount in ${order.currency}. Leave empty to refund the remaining ${money(left, order.currency)}.`, "");
    if (typed === null) return;
    const amount = typed.trim() === "" ? undefined : minorUnits(Number(typed), order.currency);
    if (amount !== undefined && !(amount > 0 && amount <= left)) {
      this.#context.notify(`Enter an amount between ${money(1, order.currency)} and ${money(left, order.currency)}.`);
      return;
    }
    const reason = await confirmed({
      title: `Refund ${money(amount ?? left, order.currency)}?`,
      text: "The shopper gets the money back. A refund cannot be undone. The units stay sold: to sell them again, raise the total units.",
      confirmLabel: "Refund",
      asksReason: true,
    });
    if (reason !== undefined) this.#asked(order, await this.#context.client.refundOrder(this.#sale, order.id, amount, reason));
  }

  async #cancel(order: AdminOrder): Promise<void> {
    const question = { title: "Cancel this order?", text: "The units go to the next shopper in line, and a pending payment is cancelled.", confirmLabel: "Cancel order", asksReason: true };
    const reason = await confirmed(question);
    if (reason !== undefined) this.#asked(order, await this.#context.client.cancelOrder(this.#sale, order.id, reason));
  }

  #asked(order: AdminOrder, answer: Parameters<ConsoleContext["unwrap"]>[0]): void {
    if (!this.#context.unwrap(answer)) return;
    this.#context.notify(`Request for order ${order.id} accepted. It is carried out in the background; search again to see its status.`);
    void this.#load(undefined);
  }
}
