/** When to retry the line, and over which transport. Pure: randomness is passed in as a number. */

import type { End, ConnectionLoss } from "./transports";

/** Why the line was lost, as far as it matters to the next try. */
export interface Wait {
  /** Tries that failed in a row. */
  failures: number;
  /** The server named a time: never sooner. */
  atLeastMs?: number;
  /** Spread of the first retries of a crowd that fails at one moment; 500 ms by default. */
  spreadMs?: number;
}

const SPREAD_MS = 500;
const LONGEST_SPREAD_MS = 30_000;

/**
 * The delay before the next try: full jitter within a spread that doubles with each failure, so
 * that a crowd that was cut off at one moment returns as a trickle. `chance` is drawn from [0, 1).
 */
export function retryDelayMs({ failures, atLeastMs = 0, spreadMs = SPREAD_MS }: Wait, chance: number): number {
  const spread = Math.min(LONGEST_SPREAD_MS, spreadMs * 2 ** Math.min(failures, 16));
  return Math.round(atLeastMs + chance * spread);
}

/**
 * A node that dies cuts off all its pages at once, 20,000 at most, and another has to accept them.
 * Over a WebSocket the node announces a shorter time if it has fewer.
 */
export const CROWD_SPREAD_MS = 5_000;
/** How often the spread of a crowd doubles: a small room is back soon after any outage. */
const CROWD_DOUBLINGS = 1;

/** Close codes of the registry of RFC 6455. */
const SERVICE_RESTART = 1012;
const TRY_AGAIN_LATER = 1013;

/** How long to wait after this loss and so far this number of failures in a row. */
export function waitAfter(end: ConnectionLoss, failures: number, crowdSpreadMs = CROWD_SPREAD_MS): Wait {
  const wait: Wait = { failures: Math.min(failures, CROWD_DOUBLINGS), spreadMs: crowdSpreadMs };
  if (end.kind === "failed") return end.atLeastMs === undefined ? wait : { ...wait, atLeastMs: end.atLeastMs };
  return end.code === TRY_AGAIN_LATER ? { failures, atLeastMs: 2_000, spreadMs: 15_000 } : wait;
}

/** Whether a link that brought no message ended without an instruction of the server. */
export function isUnexplained(end: End): boolean {
  if (end.kind === "closed") return end.code !== SERVICE_RESTART && end.code !== TRY_AGAIN_LATER;
  return end.kind === "failed" && end.atLeastMs === undefined;
}

/** The ways to the line, best first. */
export const TRANSPORTS = ["socket", "events", "polling"] as const;
export type Transport = (typeof TRANSPORTS)[number];

/** How often in a row a transport that has worked may be blocked until the next is tried. */
const PATIENCE = 3;

/**
 * Which transport to use. Only being *blocked* counts against one: it failed while a plain request
 * succeeded. One that never worked on this page is then given up at once, since a network that
 * blocks it keeps doing so; one that has worked gets a few more tries.
 */
export class TransportFallback {
  #rung = 0;
  #blocked = 0;
  #worked = new Set<number>();

  get transport(): Transport {
    return TRANSPORTS[this.#rung] ?? "polling";
  }

  worked(): void {
    this.#worked.add(this.#rung);
    this.#blocked = 0;
  }

  /** Whether there is another transport to try now. */
  blocked(): boolean {
    this.#blocked += 1;
    if (this.#blocked < (this.#worked.has(this.#rung) ? PATIENCE : 1)) return false;
    this.#rung = (this.#rung + 1) % TRANSPORTS.length;
    this.#blocked = 0;
    return true;
  }

  /** The network may be another one by now: start from the best again. */
  startOver(): void {
    this.#rung = 0;
    this.#blocked = 0;
  }
}
