/** Times on the clocks of a time zone. Pure, except for the zones of the browser. */

const PARTS: Intl.DateTimeFormatOptions = {
  hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
};

/** The zone, if the browser has it; otherwise UTC. */
export function knownZone(zone: string): string {
  try {
    new Intl.DateTimeFormat("en-US", { timeZone: zone });
    return zone;
  } catch {
    return "UTC";
  }
}

/** What the clocks of a zone show at a moment, as if they were those of UTC, in milliseconds. */
function clock(atMs: number, zone: string): number {
  const parts = new Intl.DateTimeFormat("en-US", { ...PARTS, timeZone: zone }).formatToParts(atMs);
  const of = (type: string): number => Number(parts.find((found) => found.type === type)?.value ?? 0);
  return Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"), of("second"));
}

/**
 * The moment at which the clocks of a zone show a time such as `2026-11-27T09:00`. Of a time that
 * they show twice, the first; of one that they leap over, the moment after the leap by as much.
 */
export function zonedTime(local: string, zone: string): Date {
  const wanted = Date.parse(`${local}Z`);
  const offset = (atMs: number): number => clock(atMs, zone) - Math.floor(atMs / 1000) * 1000;
  // The offset a day before and a day after: one of the two is right, unless the clocks leap over
  // the time.
  const [before, after] = [offset(wanted - 86_400_000), offset(wanted + 86_400_000)];
  const candidates = [wanted - before, wanted - after].filter((atMs) => clock(atMs, zone) === wanted).sort((a, b) => a - b);
  return new Date(candidates[0] ?? wanted - before);
}

/** The other way: what a form's field shows of a moment. */
export function shownTime(rfc3339: string, zone: string): string {
  return new Date(clock(Date.parse(rfc3339), zone)).toISOString().slice(0, 16);
}

/** A moment in words, by the clocks of a zone. */
export function momentIn(rfc3339: string, zone: string): string {
  return new Date(rfc3339).toLocaleString("en-GB", { dateStyle: "full", timeStyle: "short", timeZone: zone });
}

/** The zones of the browser, and its own. */
export function zones(): { own: string; all: string[] } {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return { own, all: [...new Set(["UTC", own, ...Intl.supportedValuesOf("timeZone")])] };
}
