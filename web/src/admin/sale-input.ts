/** Converts between form fields and the sales of the API. Pure. */

import type { AdminSale, Theme, NewSale, SaleChange, SaleCommand, Status } from "../shared/api";
import { majorUnits, minorUnits, money } from "../shared/format";
import { knownZone, shownTime, zonedTime } from "./time-zone";

/** The commands that a sale in this status accepts. */
export const COMMANDS: Record<Status, readonly SaleCommand[]> = {
  scheduled: ["open", "close"],
  open: ["pause", "close"],
  paused: ["resume", "close"],
  sold_out: ["close"],
  closed: [],
};

const TEXTS = ["waiting_text", "turn_text", "sold_out_text"] as const;
const COLOURS = ["accent", "paper"] as const;
/** The colours of the shopper's page, as shared/theme.css has them. */
export const DEFAULT_COLOURS = { accent: "#2743d2", paper: "#f3f1ea" };
const INK = "#191b22";
/** The minimum contrast of text: WCAG 2.2, success criterion 1.4.3. */
const READABLE = 4.5;

/** The theme in a form. A colour counts only if its checkbox is checked. */
export function readTheme(field: (name: string) => string): Theme {
  const texts = TEXTS.map((name) => [name, field(name).trim()] as const).filter(([, text]) => text !== "");
  const colours = COLOURS.filter((name) => field(`has_${name}`) !== "").map((name) => [name, field(name)] as const);
  return Object.fromEntries([...colours, ...texts]);
}

/** The form fields of a theme. */
export function themeFields(shown: Theme = {}): Record<string, string> {
  const colours = COLOURS.flatMap((name) => [[`has_${name}`, shown[name] === undefined ? "" : "on"], [name, shown[name] ?? DEFAULT_COLOURS[name]]]);
  return Object.fromEntries([...colours, ...TEXTS.map((name) => [name, shown[name] ?? ""])]) as Record<string, string>;
}

/** Why the controller would reject the colours of a theme; empty if it accepts them. */
export function themeProblem({ accent = DEFAULT_COLOURS.accent, paper = DEFAULT_COLOURS.paper }: Theme): string {
  if (contrast(INK, paper) < READABLE) return "Text on this background is hard to read. Choose a lighter background.";
  if (contrast(accent, paper) < READABLE) return "Links in this accent colour are hard to read on the background. Choose a darker accent colour.";
  return "";
}

/** Why a price is invalid; empty if it is a whole number of minor units. */
export function priceProblem(price: string, currency: string): string {
  if (!/^[A-Z]{3}$/.test(currency)) return "";
  const minor = minorUnits(Number(price), currency);
  // Rounded, since binary fractions are not exact.
  const isWhole = Number(majorUnits(minor, currency).toFixed(6)) === Number(Number(price).toFixed(6));
  return isWhole ? "" : `The smallest amount in this currency is ${money(1, currency)}.`;
}

/** The sale in a form. Its times are local times of its time zone. */
export function newSale(field: (name: string) => string): NewSale {
  const currency = field("currency");
  const zone = field("time_zone");
  const time = (name: "opens_at" | "ends_at"): Partial<NewSale> => {
    const local = field(name);
    return local === "" ? {} : { [name]: zonedTime(local, zone).toISOString() };
  };
  const asked = readTheme(field);
  return {
    slug: field("slug"),
    name: field("name"),
    description: field("description"),
    price_minor: minorUnits(Number(field("price")), currency),
    currency,
    total: Number(field("total")),
    per_shopper_limit: Number(field("per_shopper_limit")),
    rate_cap_per_s: Number(field("rate_cap_per_s")),
    token_ttl_s: Number(field("token_ttl_s")),
    claim_window_s: Number(field("claim_window_s")),
    hold_s: Number(field("hold_s")),
    recall_window_s: Number(field("recall_window_s")),
    order: field("order") === "draw" ? "draw" : "fifo",
    mode: field("mode") === "yield" ? "yield" : "guarantee",
    risk: Number(field("risk_percent")) / 100,
    time_zone: zone,
    ...(field("per_account_limit") !== "" && { per_account_limit: Number(field("per_account_limit")) }),
    ...(field("grace_s") !== "" && { grace_s: Number(field("grace_s")) }),
    ...(field("in_checkout_max") !== "" && { in_checkout_max: Number(field("in_checkout_max")) }),
    ...(field("prior_sale") !== "" && { prior_sale: field("prior_sale") }),
    ...(Object.keys(asked).length > 0 && { theme: asked }),
    ...time("opens_at"),
    ...time("ends_at"),
  };
}

/** The form fields for a copy of a sale, without the slug and the end time. */
export function copyFields(sale: AdminSale): Record<string, string> {
  const zone = knownZone(sale.time_zone);
  const or = (value: number | null | undefined): string => (value === null || value === undefined ? "" : String(value));
  return {
    slug: "",
    name: sale.name,
    description: sale.description,
    price: String(majorUnits(sale.price_minor, sale.currency)),
    currency: sale.currency,
    total: String(sale.total),
    per_shopper_limit: String(sale.per_shopper_limit),
    per_account_limit: or(sale.per_account_limit),
    rate_cap_per_s: String(sale.rate_cap_per_s),
    in_checkout_max: or(sale.in_checkout_max),
    token_ttl_s: String(sale.token_ttl_s),
    claim_window_s: String(sale.claim_window_s),
    hold_s: String(sale.hold_s),
    recall_window_s: String(sale.recall_window_s),
    grace_s: or(sale.grace_s),
    order: sale.order ?? "fifo",
    mode: sale.mode ?? "guarantee",
    risk_percent: String(sale.risk * 100),
    time_zone: zone,
    opens_at: Date.parse(sale.opens_at) > Date.now() ? shownTime(sale.opens_at, zone) : "",
    ...themeFields(sale.theme),
  };
}

/** One changed setting. An empty message or checkout limit removes it. */
export function saleChange(setting: keyof SaleChange, typed: string): SaleChange {
  if (setting === "message") return { message: typed.trim() || null };
  if (setting === "in_checkout_max" && typed === "") return { in_checkout_max: null };
  return { [setting]: Number(typed) };
}

/** The contrast ratio of text on a background, from 1 to 21, as WCAG 2.2 defines it. */
export function contrast(text: string, ground: string): number {
  const [one, other] = [luminance(text), luminance(ground)];
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Black or white, whichever has more contrast on a background. */
export function ink(ground: string): string {
  return contrast("#000000", ground) > contrast("#ffffff", ground) ? "#000000" : "#ffffff";
}
