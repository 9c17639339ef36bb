/** The W3C's trace context: what this page sets off in the services is one trace, so that whoever runs them can follow it. */

const TRACE = hex(16);

/** A `traceparent` for a request: the page's trace, and a step of its own. Random numbers, new with each page. */
export function traceparent(): string {
  return `00-${TRACE}-${hex(8)}-01`;
}

function hex(bytes: number): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
