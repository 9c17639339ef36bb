/**
 * The W3C trace context of this page: its requests belong to one trace, so that operators can
 * follow them through the services. New with each page load.
 */
export const TRACEPARENT = `00-${hex(32)}-${hex(16)}-01`;

function hex(digits: number): string {
  return "0".repeat(digits).replace(/0/g, () => Math.floor(Math.random() * 16).toString(16));
}
