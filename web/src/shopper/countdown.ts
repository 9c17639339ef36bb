/**
 * The place that the page shows, which counts down between two messages of the line. Pure: time is
 * given in milliseconds of a monotonic clock.
 *
 * The waiting room does the same arithmetic for every page
 * (`crates/update-policy/src/countdown.rs`). It computes what each page shows, and sends an update
 * only if that would be wrong. Change both together:
 *
 *     shown = min(ceiling, floor(max(0, place − rate × seconds since the message)))
 *
 * A shown place grows only by recalled shoppers: with each message the ceiling becomes what is
 * shown at that moment, plus the growth of `recalled`.
 */

import type { PlaceMessage } from "../shared/api";

export interface ShownPlace {
  readonly message: PlaceMessage;
  /** When it arrived. */
  readonly atMs: number;
  /** Places per second; 0: the line does not move. */
  readonly ratePerS: number;
  /** The most that may be shown. */
  readonly ceiling: number;
  /** By how many recalled shoppers the shown place has grown. */
  readonly cameBack: number;
  /** Until when the page explains that. */
  readonly explainUntilMs: number;
}

const EXPLAIN_MS = 60_000;

/** What is shown after a message, if `before` was shown until then. */
export function applyPlace(before: ShownPlace | undefined, message: PlaceMessage, nowMs: number): ShownPlace {
  const received = { message, atMs: nowMs, ratePerS: Math.max(0, message.rate_per_s ?? 0) };
  // Another ticket is another place.
  if (before?.message.ordinal !== message.ordinal) return { ...received, ceiling: message.place, cameBack: 0, explainUntilMs: 0 };
  const shown = placeAt(before, nowMs);
  const ceiling = shown + Math.max(0, message.recalled - before.message.recalled);
  const grown = Math.min(ceiling, message.place) - shown;
  const explained = cameBackAt(before, nowMs);
  return grown > 0
    ? { ...received, ceiling, cameBack: explained + grown, explainUntilMs: nowMs + EXPLAIN_MS }
    : { ...received, ceiling, cameBack: explained, explainUntilMs: before.explainUntilMs };
}

/** How many people ahead the page shows. */
export function placeAt({ message, atMs, ratePerS, ceiling }: ShownPlace, nowMs: number): number {
  const counted = Math.floor(Math.max(0, message.place - (ratePerS * (nowMs - atMs)) / 1000));
  return Math.min(ceiling, counted);
}

/** The number of recalled shoppers that the page still explains. */
export function cameBackAt({ cameBack, explainUntilMs }: ShownPlace, nowMs: number): number {
  return nowMs < explainUntilMs ? cameBack : 0;
}

/** Stops the countdown until the next message: the line does not move, or is out of reach. */
export function stopCountdown(place: ShownPlace, nowMs: number): ShownPlace {
  return { ...place, ratePerS: 0, ceiling: placeAt(place, nowMs) };
}
