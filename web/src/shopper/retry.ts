/** When and over what to try the line again. Pure: chance comes in as a number. */

/** Why the line was lost, as far as it matters to the next try. */
export interface Wait {
  /** Tries that failed in a row. */
  failures: number;
  /** The server named a time: never sooner. */
  atLeastMs?: number;
  /** Many pages were sent away at the same moment: come back spread over at least this long. */
  spreadMs?: number;
}

const FIRST_CEILING_MS = 500;
const LAST_CEILING_MS = 20_000;

/**
 * How long to wait before the next try: full jitter, so anywhere between nothing and a ceiling that doubles with each
 * failure. A crowd that was cut off at one moment comes back as a trickle. `chance` is drawn from [0, 1).
 */
export function retryDelayMs({ failures, atLeastMs = 0, spreadMs = 0 }: Wait, chance: number): number {
  const ceiling = Math.min(LAST_CEILING_MS, FIRST_CEILING_MS * 2 ** Math.min(failures, 16));
  return Math.round(atLeastMs + chance * Math.max(ceiling, spreadMs));
}

/** The ways to the line, best first. */
export const TRANSPORTS = ["socket", "events", "polling"] as const;
export type Transport = (typeof TRANSPORTS)[number];

/** How often a transport that has worked before may fail in a row until the next is tried. */
const PATIENCE = 3;

/**
 * Which transport to use. One that never worked on this page is given up at its first failure, since a network that
 * blocks it will go on doing so; one that has worked is tried again, since it is the server that is away.
 */
export class Ladder {
  #rung = 0;
  #failures = 0;
  #worked = new Set<number>();

  get transport(): Transport {
    return TRANSPORTS[this.#rung] ?? "polling";
  }

  worked(): void {
    this.#worked.add(this.#rung);
    this.#failures = 0;
  }

  failed(): void {
    this.#failures += 1;
    if (this.#failures < (this.#worked.has(this.#rung) ? PATIENCE : 1)) return;
    this.#rung = (this.#rung + 1) % TRANSPORTS.length;
    this.#failures = 0;
  }

  /** The network may be another one by now: start from the best again. */
  startOver(): void {
    this.#rung = 0;
    this.#failures = 0;
  }
}
