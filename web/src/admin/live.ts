/** The controller's live picture, over a WebSocket that comes back by itself. */

import type { AdminSale, Rehearsal, Sample } from "../api";

export type News =
  | { type: "sales"; sales: AdminSale[] }
  | { type: "sale"; sale: AdminSale }
  | { type: "samples"; samples: Sample[] }
  | { type: "rehearsal"; rehearsal: Rehearsal };

export interface LiveListener {
  news(news: News): void;
  /** Whether what is shown is as it is now. */
  connected(is: boolean): void;
  /** The session has ended: sign in again. */
  ended(): void;
}

const SESSION_ENDED = 4401;
const SHORTEST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;

export class Live {
  readonly #address: string;
  readonly #listener: LiveListener;
  #socket: WebSocket | undefined;
  #pauseMs = SHORTEST_PAUSE_MS;
  #timer: number | undefined;
  #closed = false;

  /** Of one sale, or of all. */
  constructor(sale: string | undefined, listener: LiveListener) {
    const address = new URL(`/api/admin/live${sale === undefined ? "" : `?sale=${sale}`}`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    this.#address = address.href;
    this.#listener = listener;
    this.#open();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  #open(): void {
    const socket = new WebSocket(this.#address);
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      if (this.#closed) return;
      this.#pauseMs = SHORTEST_PAUSE_MS;
      this.#listener.connected(true);
      this.#listener.news(JSON.parse(String(data)) as News);
    });
    socket.addEventListener("close", ({ code }) => {
      if (this.#closed) return;
      this.#listener.connected(false);
      if (code === SESSION_ENDED) {
        this.#closed = true;
        this.#listener.ended();
        return;
      }
      this.#timer = window.setTimeout(() => { this.#open(); }, this.#pauseMs);
      this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
    });
  }
}
