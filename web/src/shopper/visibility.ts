// Runs the page while it is visible: a tick each second, and a refresh whenever it may be stale.

import type { LineConnection } from "./connection";
import type { Page } from "./page";
import type { Purchase } from "./purchase";
import type { Turn } from "./turn";

const TICK_MS = 1_000;
/** A tick this late means that the machine was asleep. */
const ASLEEP_MS = 15_000;

export interface Refreshed {
  page: Page;
  line: LineConnection;
  turn: Turn;
  purchase: Purchase;
}

export class Visibility {
  readonly #refreshed: Refreshed;
  #ticking: ReturnType<typeof setInterval> | undefined;
  #tickedAt = 0;

  constructor(refreshed: Refreshed) {
    this.#refreshed = refreshed;
  }

  /** Follows the visibility of the page from now on. */
  start(): void {
    const { page, line } = this.#refreshed;
    const attend = (): void => { this.#attend(); };
    document.addEventListener("visibilitychange", attend);
    window.addEventListener("pageshow", ({ persisted }) => {
      if (persisted) {
        page.dispatch({ type: "restored" });
        line.renew();
      }
      attend();
    });
    window.addEventListener("online", attend);
    window.addEventListener("offline", () => { line.networkGone(); });
    attend();
  }

  /** Starts the ticks of a visible page with a refresh, and stops those of a hidden one. */
  #attend(): void {
    const { page, line, turn, purchase } = this.#refreshed;
    clearInterval(this.#ticking);
    page.isTicking = document.visibilityState === "visible";
    if (!page.isTicking) return;
    this.#tickedAt = Date.now();
    this.#ticking = setInterval(() => { this.#tick(); }, TICK_MS);
    turn.see();
    page.show();
    line.wake();
    void purchase.refreshHold();
  }

  #tick(): void {
    const { page, purchase } = this.#refreshed;
    const asleep = Date.now() - this.#tickedAt > ASLEEP_MS;
    this.#tickedAt = Date.now();
    if (asleep) this.#attend();
    page.show();
    if (page.phase.at === "checkout" && page.serverNow() > Date.parse(page.phase.order.hold_expires_at)) void purchase.refreshHold();
  }
}
