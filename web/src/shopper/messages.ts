/**
 * Parses messages of the line. Unknown messages are skipped, so that the line can add new ones;
 * fields that an older line does not send get neutral values.
 */

import type { LineMessage, PlaceMessage, Seconds } from "../shared/api";

const REQUIRED: Record<LineMessage["type"], Record<string, string>> = {
  place: { ordinal: "number", place: "number", behind: "number" },
  draw: { ordinal: "number", participants: "number" },
  sale: { sale: "object" },
  turn: { token: "string", expires_at: "string", quantity: "number" },
  over: { outcome: "string" },
  reconnecting: {},
  heartbeat: { next_in_s: "number", reconnect_within_ms: "number" },
};

/** One message of the line, or nothing if it is not one. */
export function parseLineMessage(json: string): LineMessage | undefined {
  try {
    return asLineMessage(JSON.parse(json));
  } catch {
    return undefined;
  }
}

/** The same, for JSON that has been parsed already. */
export function asLineMessage(value: unknown): LineMessage | undefined {
  if (!isRecord(value) || !isKnown(value.type)) return undefined;
  const complete = Object.entries(REQUIRED[value.type]).every(([field, type]) => value[field] !== null && typeof value[field] === type);
  if (!complete) return undefined;
  return value.type === "place" ? readPlace(value as unknown as PlaceMessage) : (value as unknown as LineMessage);
}

function readPlace(raw: Readonly<Partial<PlaceMessage>> & Pick<PlaceMessage, "type" | "ordinal" | "place" | "behind">): PlaceMessage {
  const { type, ordinal, place, behind, recalled, rate_per_s, wait, beyond_stock, remaining } = raw;
  const likely_s = readSeconds(wait?.likely_s);
  return {
    type,
    ordinal,
    place,
    behind,
    recalled: isAmount(recalled) ? recalled : 0,
    rate_per_s: isAmount(rate_per_s) ? rate_per_s : null,
    wait: likely_s && { likely_s, bounds_s: readSeconds(wait?.bounds_s) },
    beyond_stock: beyond_stock === true,
    remaining: isAmount(remaining) ? remaining : null,
  };
}

function readSeconds(range: unknown): Seconds | null {
  return Array.isArray(range) && range.length === 2 && range.every(isAmount) ? (range as Seconds) : null;
}

function isAmount(value: unknown): value is number {
  return Number.isFinite(value) && (value as number) >= 0;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isKnown(type: unknown): type is LineMessage["type"] {
  return typeof type === "string" && Object.hasOwn(REQUIRED, type);
}
