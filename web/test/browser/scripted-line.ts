/** A simulated line that sends a page the messages of a test. */

import type { Page, WebSocketRoute } from "playwright-core";
import type { LineMessage, PlaceMessage, SaleCard } from "../../src/shared/api";

export class ScriptedLine {
  /** The URLs of the page's connections, oldest first. */
  readonly connections: string[] = [];
  readonly #sale: SaleCard;
  #socket: WebSocketRoute | undefined;
  #last: LineMessage;

  private constructor(sale: SaleCard, first: LineMessage) {
    this.#sale = sale;
    this.#last = first;
  }

  /** Takes over all later WebSockets of a page. Each gets the sale and the last message first. */
  static async install(page: Page, sale: SaleCard, first: LineMessage): Promise<ScriptedLine> {
    const line = new ScriptedLine({ ...sale, status: "open" }, first);
    await page.routeWebSocket(/\/line(\?|$)/, (socket) => {
      line.connections.push(socket.url());
      line.#socket = socket;
      line.#send({ type: "sale", sale: line.#sale });
      line.#send(line.#last);
    });
    return line;
  }

  send(message: LineMessage): void {
    if (message.type !== "sale") this.#last = message;
    this.#send(message);
  }

  /** Changes the sale permanently, and sends it. */
  changeSale(changes: Partial<SaleCard>): void {
    Object.assign(this.#sale, changes);
    this.#send({ type: "sale", sale: this.#sale });
  }

  #send(message: LineMessage): void {
    this.#socket?.send(JSON.stringify(message));
  }
}

export function place(changes: Partial<PlaceMessage>): PlaceMessage {
  return {
    type: "place",
    ordinal: 1_042,
    place: 417,
    behind: 120,
    recalled: 0,
    rate_per_s: null,
    wait: { likely_s: [130, 230], bounds_s: [70, 410] },
    beyond_stock: false,
    remaining: 60,
    ...changes,
  };
}
