/** Live updates of sales over a WebSocket that reconnects automatically. */

import type { LiveUpdate } from "../shared/api";
import type { Answer } from "../shared/http";
import type { AdminClient } from "./client";

/** An update for a screen. A `heartbeat` only shows that the connection is alive. */
export type ScreenUpdate = Exclude<LiveUpdate, { type: "heartbeat" }>;

export interface LiveListener {
  updated(update: ScreenUpdate): void;
  /** When the last update arrived, while the connection is lost; undefined: up to date. */
  staleSince(moment: Date | undefined): void;
  /** The request is refused; retrying would not help. */
  refused(answer: Extract<Answer<unknown>, { kind: "refused" }>): void;
  /** The session has ended: sign in again. */
  ended(): void;
}

const SESSION_ENDED = 4401;
const SHORTEST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;
/** The controller sends a message every five seconds, if only a `heartbeat`. */
const LONGEST_SILENCE_MS = 12_000;

export class LiveUpdates {
  readonly #client: AdminClient;
  readonly #sale: string | undefined;
  readonly #listener: LiveListener;
  #socket: WebSocket | undefined;
  #pauseMs = SHORTEST_PAUSE_MS;
  #timer: number | undefined;
  #receivedAt = new Date();
  #closed = false;

  /** Updates of one sale, or of all. */
  constructor(client: AdminClient, sale: string | undefined, listener: LiveListener) {
    this.#client = client;
    this.#sale = sale;
    this.#listener = listener;
    this.#open();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  #open(): void {
    const address = new URL(`/api/admin/live${this.#sale === undefined ? "" : `?sale=${this.#sale}`}`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address.href);
    this.#socket = socket;
    let hasReceived = false;
    const isOurs = (): boolean => !this.#closed && this.#socket === socket;
    socket.addEventListener("message", ({ data }) => {
      if (!isOurs()) return;
      hasReceived = true;
      this.#receive(JSON.parse(String(data)) as LiveUpdate);
    });
    socket.addEventListener("close", ({ code }) => { if (isOurs()) this.#lose(code, hasReceived); });
    this.#await(socket);
  }

  #receive(update: LiveUpdate): void {
    this.#pauseMs = SHORTEST_PAUSE_MS;
    this.#receivedAt = new Date();
    this.#listener.staleSince(undefined);
    if (this.#socket) this.#await(this.#socket);
    if (update.type !== "heartbeat") this.#listener.updated(update);
  }

  /**
   * Reconnects when a socket falls silent: a dead connection, or a controller without a database.
   */
  #await(socket: WebSocket): void {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => {
      this.#listener.staleSince(this.#receivedAt);
      socket.close();
      this.#open();
    }, LONGEST_SILENCE_MS);
  }

  #lose(code: number, hasReceived: boolean): void {
    clearTimeout(this.#timer);
    if (code === SESSION_ENDED) {
      this.#closed = true;
      this.#listener.ended();
      return;
    }
    this.#listener.staleSince(this.#receivedAt);
    if (hasReceived) this.#reconnectLater();
    else void this.#findReason();
  }

  /** A browser hides why a WebSocket was refused; a request for the same resource shows it. */
  async #findReason(): Promise<void> {
    const answer = this.#sale === undefined ? await this.#client.session() : await this.#client.sale(this.#sale);
    if (this.#closed) return;
    if (answer.kind === "refused") {
      this.#closed = true;
      this.#listener.refused(answer);
    } else this.#reconnectLater();
  }

  #reconnectLater(): void {
    this.#timer = window.setTimeout(() => { this.#open(); }, this.#pauseMs);
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
  }
}
