/** Takes the shopper from the turn to a settled order, and shows each response on the page. */

import type { Order } from "../shared/api";
import type { Answer } from "../shared/http";
import { cancelOrder, findOrder, isToBePaid, pause, pay, readOrder, reserve, withdraw } from "./checkout";
import type { LineConnection } from "./connection";
import type { Page } from "./page";
import { problemOf, UNREACHABLE } from "./problem";

const ORDER_EVERY_MS = 1_500;

export class Purchase {
  readonly #page: Page;
  readonly #line: LineConnection;
  readonly #saleId: string;

  /** `saleId`: the sale that the line leads to. */
  constructor(page: Page, line: LineConnection, saleId: string) {
    this.#page = page;
    this.#line = line;
    this.#saleId = saleId;
  }

  /** Redeems the turn, here or at the merchant's own checkout. */
  async reserve(quantity: number, ownCheckout: string): Promise<void> {
    const { phase } = this.#page;
    if (phase.at !== "turn" || phase.reserving) return;
    const { token } = phase.turn;
    this.#page.dispatch({ type: "reserve" });
    if (ownCheckout !== "") {
      location.assign(ownCheckout + token);
      return;
    }
    this.#showAnswer(await reserve(this.#saleId, token, quantity), "reserve-failed");
  }

  async pay(method: string): Promise<void> {
    const { phase } = this.#page;
    if (phase.at !== "checkout" || phase.paying) return;
    this.#page.dispatch({ type: "pay" });
    this.#showAnswer(await pay(phase.order, method), "pay-failed");
  }

  async cancel(order: Order): Promise<void> {
    this.#page.dispatch({ type: "pay" });
    this.#showAnswer(await cancelOrder(order), "pay-failed");
  }

  /** Cancels the payment under way; the order stays, while there is time to pay for it. */
  async withdraw(): Promise<void> {
    const { phase } = this.#page;
    if (phase.at !== "pending") return;
    const answer = await withdraw(phase.order);
    if (answer.kind === "ok") this.#page.dispatch({ type: "withdrawn", order: answer.body });
    else if (answer.kind === "refused" && answer.problem.order) this.#page.dispatch({ type: "order", order: answer.problem.order });
    else this.#page.dispatch({ type: "withdraw-failed", problem: problemOf(answer) });
  }

  async load(): Promise<void> {
    const order = await findOrder(this.#saleId);
    if (order) this.#show(order);
    else this.#page.dispatch({ type: "refused", problem: UNREACHABLE });
  }

  /** A hold may have expired, or another tab may have paid for it. */
  async refreshHold(): Promise<void> {
    const { phase } = this.#page;
    if (phase.at !== "checkout" || phase.paying) return;
    const answer = await readOrder(phase.order.id);
    if (answer.kind === "ok" && !isToBePaid(answer.body)) this.#show(answer.body);
  }

  #showAnswer(answer: Answer<Order>, failure: "reserve-failed" | "pay-failed"): void {
    if (answer.kind === "ok") this.#show(answer.body);
    else this.#page.dispatch({ type: failure, problem: problemOf(answer) });
  }

  #show(order: Order): void {
    this.#page.dispatch({ type: "order", order });
    this.#line.close();
    if (order.status === "payment_pending") void this.#follow(order);
  }

  /** Polls an order until it is settled. */
  async #follow(order: Order): Promise<void> {
    await pause(ORDER_EVERY_MS);
    const answer = await readOrder(order.id);
    if (this.#page.phase.at !== "pending") return;
    this.#show(answer.kind === "ok" ? answer.body : order);
  }
}
