/** Reading what the line says. Messages of a kind that this page does not know are passed over, so the line may learn new ones. */

import type { LineMessage } from "../api";

const REQUIRED: Record<LineMessage["type"], Record<string, string>> = {
  place: { ordinal: "number", place: "number", behind: "number" },
  sale: { sale: "object" },
  turn: { token: "string", expires_at: "string", quantity: "number" },
  over: { outcome: "string" },
  reconnecting: {},
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
  return complete ? (value as unknown as LineMessage) : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isKnown(type: unknown): type is LineMessage["type"] {
  return typeof type === "string" && Object.hasOwn(REQUIRED, type);
}
