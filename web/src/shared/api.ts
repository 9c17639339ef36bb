/** The types of Fairline's HTTP API and of the messages of the line, as the pages use them. */

export type Status = "scheduled" | "open" | "paused" | "sold_out" | "closed";

/** The facts of a sale that anybody may see. Money is in the currency's minor unit, times are RFC 3339 in UTC. */
export interface SaleCard {
  id: string;
  slug: string;
  name: string;
  description: string;
  price_minor: number;
  currency: string;
  per_shopper_limit: number;
  /** Units one account may buy, where only those who are signed in may. */
  per_account_limit?: number;
  total: number;
  /** Units that nobody holds, has paid for, or has been promised. */
  remaining: number;
  status: Status;
  opens_at: string;
  ends_at: string | null;
  /** What the shop says to everybody who waits. */
  message: string | null;
  /** What being let in means; a unit for each who is, where it is not told. */
  mode?: SaleMode;
  /** In which order the line is served; in that of joining, where it is not told. */
  order?: LineOrder;
  /** What the shop wants its pages to look like, and to say. */
  look?: Theme;
}

/** Colours are `#rrggbb`. */
export interface Theme {
  accent?: string;
  paper?: string;
  waiting_text?: string;
  turn_text?: string;
  sold_out_text?: string;
}

/** What is known of an account. */
export interface Profile {
  account_id: string;
  address: string | null;
  created_at: string;
}

/** By joining; or by lot among those who joined before the opening. */
export type LineOrder = "fifo" | "draw";

/** From and to, in seconds. */
export type Seconds = [number, number];

export interface PlaceMessage {
  type: "place";
  ordinal: number;
  /** How many people are ahead. */
  place: number;
  behind: number;
  /** How many of those ahead came back after their turn had passed. They are served first. */
  recalled: number;
  /** Places per second by which the page counts down by itself; null: it stands still. */
  rate_per_s: number | null;
  /** Half of the time the wait ends within `likely_s`, nine times of ten within `bounds_s`. */
  wait: { likely_s: Seconds; bounds_s: Seconds | null } | null;
  /** The wait is longer than the remaining stock is likely to last. */
  beyond_stock: boolean;
  /** Units that are left, as in the sale's facts, which are not told again for this number's sake; null: not told. */
  remaining: number | null;
}

/** The ticket is in a draw that is still to be made: it has no place yet. */
export interface DrawMessage {
  type: "draw";
  ordinal: number;
  /** How many are in the draw. */
  participants: number;
}

export interface SaleMessage {
  type: "sale";
  sale: SaleCard;
}

export interface TurnMessage {
  type: "turn";
  /** The admission token. */
  token: string;
  expires_at: string;
  claim_by: string;
  quantity: number;
}

export type Outcome = "sold_out" | "closed" | "expired" | "bought" | "left" | "removed" | "missed" | "limit";

export interface OverMessage {
  type: "over";
  outcome: Outcome;
}

export interface ReconnectingMessage {
  type: "reconnecting";
  retry_after_ms: number;
}

/** The connection is alive. */
export interface HeartbeatMessage {
  type: "heartbeat";
  /** When something is said next at the latest. */
  next_in_s: number;
}

/** What the line says to the page. */
export type LineMessage = PlaceMessage | DrawMessage | SaleMessage | TurnMessage | OverMessage | ReconnectingMessage | HeartbeatMessage;

/** What the page says to the line. */
export interface PageMessage {
  type: "claim" | "leave";
}

/** One answer of the line to a page that polls. */
export interface LineSnapshot {
  messages: unknown[];
  poll_after_ms: number;
}

export interface Order {
  id: string;
  sale_id: string;
  /** `promised`: the units are held as soon as it is paid for. */
  status: "promised" | "held" | "payment_pending" | "paid" | "lapsed" | "refunded" | "cancelled";
  quantity: number;
  amount_minor: number;
  currency: string;
  refunded_minor: number;
  dispute?: string;
  hold_expires_at: string;
  paid_at: string | null;
  created_at: string;
  /** Something that its shopper has to know. */
  notice?: string;
}

/** RFC 9457: what went wrong, in words that the reader can act on. */
export interface Problem {
  type: string;
  title: string;
  detail?: string;
  status?: number;
  /** With `token-used`: the first answer, repeated to its holder. */
  order?: Order;
}

/** How a sale lets people in: no more than there are units for; or more, at a stated risk. */
export type SaleMode = "guarantee" | "yield";

/** A lane as its operators see it. */
export interface AdminLane {
  id: string;
  name: string;
  slug: string;
  /** The part of the admissions that it gets while somebody waits in it. */
  share: number;
  /** As of the last tick. */
  waiting: number;
  admitted: number;
  invitations: number;
}

/** A sale as its operators see it. */
export interface AdminSale extends SaleCard {
  rate_cap_per_s: number;
  promised: number;
  held: number;
  sold: number;
  /** As of the last tick. */
  waiting: number;
  /** Of those who wait, the ones with the page open. */
  present: number;
  /** Visits under way, from the token to the payment. */
  inside: number;
  orders: number;
  admitted: number;
  lanes: AdminLane[];
  cursor: number;
  highest_ordinal: number;
  token_ttl_s: number;
  claim_window_s: number;
  hold_s: number;
  recall_window_s: number;
  /** Whoever is silent for so long gives up the place; where it is not told, as the waiting room is set up. */
  grace_s?: number | null;
  /** In yield mode: the share of those let in who want to pay that may find no unit. */
  risk: number;
  /** Shoppers in checkout, and on their way there, at most. */
  inside_max: number | null;
  /** The earlier sale whose shoppers behaved as this one's are expected to. */
  like: string | null;
  /** The sale that this one is a rehearsal of. */
  rehearsal_of: string | null;
  /** The clocks that its operators think in. */
  time_zone: string;
  created_at: string;
  /** The controller's last decision, in words. */
  last_decision: string | null;
}

/** Somebody who is told over HTTP what happens. */
export interface Webhook {
  id: string;
  url: string;
  /** The kinds of events that it hears of; none: all. */
  kinds: string[];
  status: "on" | "failing" | "off";
  failing_since: string | null;
  last_error: string | null;
  waiting: number;
  delivered: number;
  given_up: number;
}

export interface NewSale {
  slug: string;
  name: string;
  description: string;
  price_minor: number;
  currency: string;
  total: number;
  per_shopper_limit?: number;
  per_account_limit?: number;
  rate_cap_per_s?: number;
  opens_at?: string;
  ends_at?: string;
  token_ttl_s?: number;
  claim_window_s?: number;
  hold_s?: number;
  recall_window_s?: number;
  grace_s?: number;
  order?: LineOrder;
  mode?: SaleMode;
  risk?: number;
  inside_max?: number;
  like?: string;
  time_zone?: string;
  look?: Theme;
}

export interface SaleChange {
  rate_cap_per_s?: number;
  total?: number;
  inside_max?: number | null;
  message?: string | null;
  look?: Theme;
}

/** What an operator tells a sale to do. */
export type SaleCommand = "open" | "pause" | "resume" | "close";

/** What an operator may do: see; run sales; decide who the operators are. */
export type Role = "viewer" | "operator" | "owner";

export interface Session {
  name: string;
  role: Role;
  /** Goes with every request that changes something. */
  csrf: string;
  expires_at: string;
}

export interface Operator {
  name: string;
  role: Role;
  created_at: string;
  last_seen_at: string | null;
}

export interface OperatorChange {
  role?: Role;
  password?: string;
}

/** What an authenticator app makes its codes of; shown once. */
export interface TotpSecret {
  totp_secret: string;
  totp_url: string;
}

export interface AddedOperator extends TotpSecret {
  operator: Operator;
}

/** With which an operator chooses a password, once. */
export interface EnrolmentCode {
  enrolment_code: string;
}

/** An operator who has chosen a password. */
export interface Enrolled extends TotpSecret {
  name: string;
  role: Role;
}

/** Something that an operator has done. */
export interface AuditEntry {
  id: number;
  at: string;
  who: string;
  action: string;
  subject: string;
  sale: string | null;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  reason: string | null;
}

export interface AuditPage {
  entries: AuditEntry[];
  next: number | null;
}

/** How a sale stood at a moment; `joined`, `admitted` and `orders` are running totals. */
export interface Sample {
  at: string;
  waiting: number;
  present: number;
  inside: number;
  total: number;
  promised: number;
  held: number;
  sold: number;
  joined: number;
  admitted: number;
  orders: number;
  likely_wait_s: number | null;
}

export interface RehearsalPlan {
  shoppers: number;
  arrival_s: number;
  /** The part that gives up. */
  abandon: number;
}

/** A crowd of simulated shoppers that was sent to a copy of a sale. */
export interface Rehearsal {
  id: string;
  sale_id: string;
  original_id: string;
  shoppers: number;
  state: "running" | "stopping" | "passed" | "failed" | "stopped";
  started_at: string;
  ended_at: string | null;
  progress: string | null;
  report: Record<string, unknown> | null;
}

/** A sale, looked back on. */
export interface Report {
  sale: AdminSale;
  funnel: { joined: number; admitted: number; claimed: number; redeemed: number; paid: number; left: number; removed: number };
  waits_s: { count: number; mean: number; p50: number; p90: number; p99: number; max: number } | null;
  orders: { paid: number; units: number; refunded: number; refunded_units: number; disputed: number; lapsed: number; cancelled: number };
  revenue_minor: number;
  refunded_minor: number;
  disputed_minor: number;
  /** Of those whose turn came, the part that paid. */
  conversion: number | null;
  minutes: { at: string; joined: number; admitted: number; orders: number }[];
  fairness: { checked: boolean; admissions: number; out_of_order: number; preferred: number; stock_in_order: boolean; sentence: string };
}

/** An order, as operators see it. */
export interface AdminOrder {
  id: string;
  status: Order["status"];
  quantity: number;
  amount_minor: number;
  currency: string;
  refunded_minor: number;
  disputed_minor: number;
  dispute: string | null;
  reference: string | null;
  ordinal: number | null;
  address: string | null;
  created_at: string;
  paid_at: string | null;
  /** What was last asked to be done with it. */
  request: { kind: "refund" | "cancel"; state: "requested" | "done" | "failed"; error: string | null } | null;
}
