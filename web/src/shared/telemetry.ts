/**
 * The W3C's trace context: what this page sets off in the services is one trace, of which the page is the first step, so that whoever
 * runs them can follow it. New with each page; it names, and proves nothing.
 */
export const TRACEPARENT = `00-${hex(32)}-${hex(16)}-01`;

function hex(digits: number): string {
  return "0".repeat(digits).replace(/0/g, () => Math.floor(Math.random() * 16).toString(16));
}
