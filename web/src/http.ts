/** One HTTP request to Fairline, with what can go wrong made plain. */

import type { Problem } from "./api";

export type Answer<T> =
  | { kind: "ok"; body: T }
  /** The server has understood and says no. Asking again would not help. */
  | { kind: "refused"; problem: Problem }
  /** Nothing certain came back, or the server asked to come again later. */
  | { kind: "failed"; atLeastMs: number | undefined };

/** Sends the request and reads a JSON answer; an empty answer reads as `undefined`. Never throws. */
export async function ask<T>(address: string, init: RequestInit = {}): Promise<Answer<T>> {
  try {
    const response = await fetch(address, { cache: "no-store", ...init });
    if (!response.ok) return await readFailure(response);
    const text = await response.text();
    return { kind: "ok", body: (text === "" ? undefined : JSON.parse(text)) as T };
  } catch {
    return { kind: "failed", atLeastMs: undefined };
  }
}

/** Why a response is not a good one. Only a problem of Fairline's own is a refusal; a proxy's error page is a failure. */
export async function readFailure(response: Response): Promise<Exclude<Answer<never>, { kind: "ok" }>> {
  const again = response.status === 429 || response.status >= 500;
  if (again || !response.headers.get("content-type")?.startsWith("application/problem+json")) {
    return { kind: "failed", atLeastMs: retryAfterMs(response.headers.get("retry-after")) };
  }
  return { kind: "refused", problem: (await response.json()) as Problem };
}

/** What a `Retry-After` header in seconds asks for; nothing if it is missing or not a number. */
export function retryAfterMs(header: string | null): number | undefined {
  const seconds = Number(header ?? NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

/** A problem as its reader is told of it. */
export function inWords(problem: Problem): string {
  return problem.detail === undefined ? problem.title : `${problem.title}. ${problem.detail}`;
}
