/** One HTTP request to Fairline, with its failures as values. */

import type { Problem } from "./api";
import { TRACEPARENT } from "./telemetry";

export type Answer<T> =
  | { kind: "ok"; body: T }
  /** The server rejected the request. Retrying would not help. */
  | { kind: "refused"; problem: Problem }
  /** The outcome is unknown, or the server asked to retry later. */
  | { kind: "failed"; atLeastMs: number | undefined };

/**
 * Sends the request and reads a JSON response; an empty response reads as `undefined`. Never
 * throws.
 */
export async function request<T>(address: string, init: Omit<RequestInit, "headers"> & { headers?: Record<string, string> } = {}): Promise<Answer<T>> {
  try {
    const response = await fetch(address, { cache: "no-store", ...init, headers: { ...init.headers, traceparent: TRACEPARENT } });
    if (!response.ok) return await readFailure(response);
    const text = await response.text();
    return { kind: "ok", body: (text === "" ? undefined : JSON.parse(text)) as T };
  } catch {
    return { kind: "failed", atLeastMs: undefined };
  }
}

/**
 * Why a response failed. Only a problem of Fairline is a refusal; a proxy's error page is a
 * failure. A 429 is a failure if it states when to retry: without that, an attempt too many does
 * not help, such as another code by e-mail.
 */
export async function readFailure(response: Response): Promise<Exclude<Answer<never>, { kind: "ok" }>> {
  const again = response.status >= 500 || (response.status === 429 && response.headers.has("retry-after"));
  if (again || !response.headers.get("content-type")?.startsWith("application/problem+json")) {
    // A shopper's clock may be minutes off: a date is read by the server's own, if the response has
    // it.
    const servedMs = Date.parse(response.headers.get("date") ?? "");
    return { kind: "failed", atLeastMs: retryAfterMs(response.headers.get("retry-after"), Number.isNaN(servedMs) ? Date.now() : servedMs) };
  }
  return { kind: "refused", problem: (await response.json()) as Problem };
}

/** The longest wait before a page retries automatically. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;

/** The delay of a `Retry-After` header, in seconds or an HTTP date; undefined if it is neither. */
export function retryAfterMs(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined;
  // Not everything that `Date.parse` takes is an HTTP date.
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : /^[A-Z][a-z]+, .* GMT$/.test(header) ? Date.parse(header) - nowMs : NaN;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), LONGEST_RETRY_AFTER_MS);
}

/** A problem as text for readers. */
export function problemText(problem: Problem): string {
  return problem.detail === undefined ? problem.title : `${problem.title}. ${problem.detail}`;
}
