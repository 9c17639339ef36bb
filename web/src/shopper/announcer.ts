/** Decides when a screen reader announces news: urgent news at once, the rest every 20 s. */

import type { News } from "./view-model";

const PAUSE_MS = 20_000;

export class Announcer {
  #key = "";
  #text = "";
  #announcedAtMs = -Infinity;

  /** The text to announce now, if any. */
  next(news: News, nowMs: number): string | undefined {
    const urgent = news.key !== this.#key;
    if (!urgent && (nowMs - this.#announcedAtMs < PAUSE_MS || news.key !== "waiting")) return undefined;
    this.#key = news.key;
    if (news.text === "" || news.text === this.#text) return undefined;
    this.#text = news.text;
    this.#announcedAtMs = nowMs;
    return news.text;
  }
}
