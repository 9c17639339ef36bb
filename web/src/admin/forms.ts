/** What an operator types, as the API takes it. Pure. */

import type { NewSale, SaleChange, SaleCommand, Status } from "../api";
import { minorUnits } from "../words";

/** The commands that a sale of this status takes. */
export const COMMANDS: Record<Status, readonly SaleCommand[]> = {
  scheduled: ["open", "close"],
  open: ["pause", "close"],
  paused: ["resume", "close"],
  sold_out: ["close"],
  closed: [],
};

/** The sale that a filled-in form asks for. Its dates are in the operator's own time zone. */
export function newSale(field: (name: string) => string): NewSale {
  const currency = field("currency");
  const time = (name: "opens_at" | "ends_at"): Partial<NewSale> => {
    const localTime = field(name);
    return localTime === "" ? {} : { [name]: new Date(localTime).toISOString() };
  };
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
    ...(field("per_account_limit") !== "" && { per_account_limit: Number(field("per_account_limit")) }),
    ...(field("inside_max") !== "" && { inside_max: Number(field("inside_max")) }),
    ...(field("like") !== "" && { like: field("like") }),
    ...time("opens_at"),
    ...time("ends_at"),
  };
}

/** One changed setting; an emptied message is taken back, and so is a cap that may be missing. */
export function saleChange(setting: keyof SaleChange, typed: string): SaleChange {
  if (setting === "message") return { message: typed.trim() || null };
  if (setting === "inside_max" && typed === "") return { inside_max: null };
  return { [setting]: Number(typed) };
}
