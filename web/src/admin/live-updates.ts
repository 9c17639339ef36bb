/** The controller's live picture, over a WebSocket that comes back by itself. */

import type { LiveUpdate } from "../shared/api";
import type { Answer } from "../shared/http";
import type { AdminClient } from "./client";

/** What concerns a screen. A `beat` only means that the connection is alive. */
export type ScreenUpdate = Exclude<LiveUpdate, { type: "beat" }>;

export interface LiveListener {
  updated(update: ScreenUpdate): void;
  /** Since when what is shown may be old; nothing: it is as it is now. */
  staleSince(moment: Date | undefined): void;
  /** There is no picture, and asking again would bring none. */
  refused(answer: Extract<Answer<unknown>, { kind: "refused" }>): void;
  /** The session has ended: sign in again. */
  ended(): void;
}

const SESSION_ENDED = 4401;
const SHORTEST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;
/** The controller says something every five seconds, if only that nothing has changed. */
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

  /** Of one sale, or of all. */
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
    let heard = false;
    const isOurs = (): boolean => !this.#closed && this.#socket === socket;
    socket.addEventListener("message", ({ data }) => {
      if (!isOurs()) return;
      heard = true;
      this.#receive(JSON.parse(String(data)) as LiveUpdate);
    });
    socket.addEventListener("close", ({ code }) => { if (isOurs()) this.#lose(code, heard); });
    this.#await(socket);
  }

  #receive(update: LiveUpdate): void {
    this.#pauseMs = SHORTEST_PAUSE_MS;
    this.#receivedAt = new Date();
    this.#listener.staleSince(undefined);
    if (this.#socket) this.#await(this.#socket);
    if (update.type !== "beat") this.#listener.updated(update);
  }

  /** A connection may die without a word, and a controller may have lost its database: then nothing more is heard on a socket. */
  #await(socket: WebSocket): void {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => {
      this.#listener.staleSince(this.#receivedAt);
      socket.close();
      this.#open();
    }, LONGEST_SILENCE_MS);
  }

  #lose(code: number, heard: boolean): void {
    clearTimeout(this.#timer);
    if (code === SESSION_ENDED) {
      this.#closed = true;
      this.#listener.ended();
      return;
    }
    this.#listener.staleSince(this.#receivedAt);
    if (heard) this.#comeBack();
    else void this.#askWhy();
  }

  /** A browser does not tell a page why a WebSocket was refused; a request of the same thing does. */
  async #askWhy(): Promise<void> {
    const answer = this.#sale === undefined ? await this.#client.session() : await this.#client.sale(this.#sale);
    if (this.#closed) return;
    if (answer.kind === "refused") {
      this.#closed = true;
      this.#listener.refused(answer);
    } else this.#comeBack();
  }

  #comeBack(): void {
    this.#timer = window.setTimeout(() => { this.#open(); }, this.#pauseMs);
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
  }
}
