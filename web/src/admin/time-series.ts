/** Samples of a sale as lines over time. Pure. */

import type { Sample } from "../shared/api";

/** Rates are means over a window, since admissions come in bursts, tick by tick. */
const WINDOW_S = 5;

/** Samples in order, each once: those of a new connection repeat what was known. */
export function merged(known: readonly Sample[], more: readonly Sample[]): Sample[] {
  const first = more[0];
  if (!first) return [...known];
  return [...known.filter(({ at }) => at < first.at), ...more];
}

/** The moments of samples, in seconds since 1970. */
export function moments(samples: readonly Sample[]): number[] {
  return samples.map(({ at }) => Date.parse(at) / 1000);
}

/** The growth of a running total per second, over the window or the time between two samples. */
export function rates(samples: readonly Sample[], total: (sample: Sample) => number): number[] {
  const at = moments(samples);
  let from = 0;
  return samples.map((sample, index) => {
    const now = at[index] ?? 0;
    while (from < index - 1 && (at[from] ?? 0) < now - WINDOW_S) from += 1;
    const before = samples[from];
    if (index === 0 || !before) return 0;
    return (total(sample) - total(before)) / Math.max(WINDOW_S, now - (at[from] ?? now));
  });
}

/** The share of admitted shoppers who have paid, in percent; null before the first admission. */
export function conversions(samples: readonly Sample[]): (number | null)[] {
  return samples.map(({ admitted, orders }) => (admitted === 0 ? null : (orders / admitted) * 100));
}

/** A number per second, with one decimal where it is small. */
export function perSecond(rate: number): string {
  return rate.toLocaleString("en-GB", { maximumFractionDigits: rate < 10 ? 1 : 0 });
}
