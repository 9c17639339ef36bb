/** Formats of numbers, money and time. */

import type { Status } from "./api";
import { MINOR_DIGITS } from "./currencies";

const LANGUAGE = "en-GB";
const SECOND_MS = 1000;
const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86_400;

export const STATUS: Record<Status, string> = { scheduled: "Opens soon", open: "Open", paused: "Paused", sold_out: "Sold out", closed: "Closed" };

export function count(n: number): string {
  return n.toLocaleString(LANGUAGE);
}

export function plural(n: number, one: string, many: string): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** An amount for readers: `money(4900, "EUR")` is €49.00. Decimals follow the services' table. */
export function money(minor: number, currency: string): string {
  const digits = minorDigits(currency);
  const format = new Intl.NumberFormat(LANGUAGE, { style: "currency", currency, minimumFractionDigits: digits, maximumFractionDigits: digits });
  return format.format(majorUnits(minor, currency));
}

/** The other way: `minorUnits(49, "EUR")` is 4900. */
export function minorUnits(amount: number, currency: string): number {
  return Math.round(amount * 10 ** minorDigits(currency));
}

/** And back: `majorUnits(4900, "EUR")` is 49. */
export function majorUnits(minor: number, currency: string): number {
  return minor / 10 ** minorDigits(currency);
}

function minorDigits(currency: string): number {
  return MINOR_DIGITS[currency] ?? 2;
}

/**
 * A countdown: 0:09, 12:34, 1:02:03, 2 days 1:02:03. Started seconds count whole, and it stops at
 * 0:00.
 */
export function duration(ms: number): string {
  const left = Math.max(0, Math.ceil(ms / SECOND_MS));
  const [days, hours, minutes, seconds] = [
    Math.floor(left / DAY_S),
    Math.floor((left % DAY_S) / HOUR_S),
    Math.floor((left % HOUR_S) / MINUTE_S),
    left % MINUTE_S,
  ];
  const two = (n: number): string => String(n).padStart(2, "0");
  const clock = days + hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
  return days > 0 ? `${plural(days, "day", "days")} ${clock}` : clock;
}

/** The unit for a wait of this length: its size in seconds, the step to round to, and its name. */
function unitOf(seconds: number): [size: number, step: number, name: string] {
  if (seconds < 90) return [1, 5, "second"];
  return seconds < 90 * MINUTE_S ? [MINUTE_S, 1, "minute"] : [HOUR_S, 1, "hour"];
}

/** A likely wait as a rounded range: 20 to 40 seconds, 2 to 4 minutes, up to 3 hours. */
export function waitRange([low, high]: readonly [number, number]): string {
  if (high < 5) return "a few seconds";
  const [size, step, name] = unitOf(high);
  const from = Math.floor(low / size / step) * step;
  const to = Math.ceil(high / size / step) * step;
  const upTo = plural(to, name, `${name}s`);
  if (from === to) return `about ${upTo}`;
  return from === 0 ? `up to ${upTo}` : `${count(from)} to ${upTo}`;
}

/** The bounds of a wait: between 10 and 50 seconds, between 40 seconds and 3 minutes. */
export function waitBounds([low, high]: readonly [number, number]): string {
  const [size, step, name] = unitOf(high);
  const to = Math.max(1, Math.ceil(high / size / step)) * step;
  const upTo = plural(to, name, `${name}s`);
  const [lowSize, lowStep, lowName] = unitOf(low);
  const from = Math.floor(low / lowSize / lowStep) * lowStep;
  if (from === 0) return `up to ${upTo}`;
  if (lowName !== name) return `between ${plural(from, lowName, `${lowName}s`)} and ${upTo}`;
  return from === to ? `about ${upTo}` : `between ${count(from)} and ${upTo}`;
}

/** A moment, in the reader's own time zone. */
export function moment(rfc3339: string): string {
  return new Date(rfc3339).toLocaleString(LANGUAGE, { dateStyle: "long", timeStyle: "short" });
}

/** A time of today, in the reader's own time zone. */
export function timeOfDay(rfc3339: string): string {
  return new Date(rfc3339).toLocaleTimeString(LANGUAGE);
}
