/** Holds the page's state: events change it, and the view shows it. */

import type { SaleMode, Status } from "../shared/api";
import { Announcer } from "./announcer";
import { initialState, reduce, type Event, type Phase, type State } from "./state";
import { View } from "./view";
import { viewModel, type Served } from "./view-model";

export class Page {
  readonly served: Served;
  readonly serverNow: () => number;
  /** Whether a tick is to come, which paints what may wait. */
  isTicking = false;
  readonly #view: View;
  readonly #announcer = new Announcer();
  #state: State;

  constructor(root: HTMLElement) {
    const { now = "", status = "open", mode = "guarantee", opensAt = "" } = root.dataset;
    this.served = { name: root.querySelector("h1")?.textContent ?? "", opensAt, status: status as Status, mode: mode as SaleMode };
    this.serverNow = serverClock(now);
    this.#view = new View(root);
    this.#state = initialState(this.served.status);
  }

  get phase(): Phase {
    return this.#state.phase;
  }

  dispatch(event: Event): void {
    const before = this.#state;
    this.#state = reduce(before, event, performance.now());
    // A place that only moved waits for the next tick, which paints it with the rest.
    const onlyPlaceMoved = event.type === "line" && event.message.type === "place" && before.phase.at === "waiting" && before.trouble === this.#state.trouble;
    if (!onlyPlaceMoved || !this.isTicking) this.show();
  }

  show(): void {
    const seen = viewModel(this.#state, this.served, { serverMs: this.serverNow(), steadyMs: performance.now() });
    this.#view.show(seen);
    const news = this.#announcer.next(seen.news, Date.now());
    if (news !== undefined) this.announce(news);
  }

  announce(text: string): void {
    this.#view.announce(text);
  }
}

/** The server's clock, as written into the page: a shopper's clock may be minutes off. */
function serverClock(servedAt: string): () => number {
  const [load] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  const ahead = Date.parse(servedAt) - (performance.timeOrigin + (load?.responseStart ?? 0));
  return () => Date.now() + (Number.isFinite(ahead) ? ahead : 0);
}
