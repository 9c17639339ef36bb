/** A line that says what a test wants a page to hear, in place of the real one. */

import type { Page, WebSocketRoute } from "playwright-core";
import type { LineMessage, PlaceMessage, SaleCard } from "../../src/shared/api";

export class PlayedLine {
  /** The addresses under which the page has come to it. */
  readonly visits: string[] = [];
  readonly #sale: SaleCard;
  #socket: WebSocketRoute | undefined;
  #last: LineMessage;

  private constructor(sale: SaleCard, first: LineMessage) {
    this.#sale = sale;
    this.#last = first;
  }

  /** From here on every WebSocket of the page leads here. Whoever comes is told `first`, or whatever was said last. */
  static async play(page: Page, sale: SaleCard, first: LineMessage): Promise<PlayedLine> {
    const line = new PlayedLine({ ...sale, status: "open" }, first);
    await page.routeWebSocket(/\/line(\?|$)/, (socket) => {
      line.visits.push(socket.url());
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

  /** The sale with these changes, which stay. */
  tell(changes: Partial<SaleCard>): void {
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
