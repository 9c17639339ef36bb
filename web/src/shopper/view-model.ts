/** The content of the page for a state at a moment. Pure; `view.ts` puts it into the document. */

import type { Order, SaleMode, Status } from "../shared/api";
import { cameBackAt, placeAt } from "./countdown";
import type { Ending, Phase, State, Trouble } from "./state";
import { count, duration, moment, money, plural, STATUS, timeOfDay, waitBounds, waitRange } from "../shared/format";

/** The facts that the page was served with, until the line sends newer ones. */
export interface Served {
  name: string;
  opensAt: string;
  status: Status;
  /** Whether each admission is guaranteed a unit. */
  mode: SaleMode;
}

/** A moment, by two clocks. */
export interface Now {
  /** The server's, in Unix milliseconds: what ends at a given time is counted down by it. */
  serverMs: number;
  /** A monotonic one, in milliseconds: places are counted down by it. */
  steadyMs: number;
}

export interface ViewModel {
  phase: Phase["at"];
  /** Title of the document. */
  title: string;
  /** Text by `data-text`. */
  texts: Record<string, string>;
  /** Whether it can be seen, by `data-show`. */
  shown: Record<string, boolean>;
  status: Status;
  stock: { value: number; max: number } | undefined;
  /** Share of the people ahead who have gone: 0 to 1. */
  progress: number;
  /** How many units the shopper may choose from. */
  quantities: number;
  /** A form is on its way; it must not be sent twice. */
  sending: boolean;
  /** What a screen reader announces: see `announcer.ts`. */
  news: News;
}

export interface News {
  text: string;
  /** A change makes the news urgent; see `announcer.ts`. */
  key: string;
}

const TROUBLE: Record<Trouble, string> = {
  none: "",
  lost: "Connection lost. Reconnecting. You keep your place.",
  "line-recovering": "The line is being restored. You keep your place.",
  busy: "The shop is very busy. We keep trying; please keep this page open.",
};

const SEEKING = { ticket: "Joining the line", place: "Finding your place", order: "Finding your order" };

const ENDING: Record<Ending, { heading: string; text: string; mayJoin: boolean }> = {
  sold_out: { heading: "Sold out", text: "All items have been sold. Thank you for waiting.", mayJoin: false },
  closed: { heading: "The sale is closed", text: "The shop has closed this sale. Thank you for waiting.", mayJoin: false },
  expired: { heading: "Your turn has expired", text: "You did not go to checkout in time, so the item went to the next shopper. You can join again at the end of the line.", mayJoin: true },
  bought: { heading: "You have already used your turn", text: "This ticket was already used for a purchase. Reload this page to see your order.", mayJoin: false },
  left: { heading: "You left the line", text: "You can join again at the end of the line.", mayJoin: true },
  removed: { heading: "The shop removed you from the line", text: "You can join again at the end of the line. If you think this is a mistake, please contact the shop.", mayJoin: true },
  missed: { heading: "You missed your turn", text: "You were away when it was your turn, and did not return in time. You can join again at the end of the line.", mayJoin: true },
  limit: { heading: "You have reached the purchase limit", text: "You have bought or reserved the maximum number of items per shopper. If an order is cancelled or refunded, you can join again.", mayJoin: true },
  hold_expired: { heading: "Your reservation has expired", text: "You have not been charged, and the item went to the next shopper. You can join again at the end of the line.", mayJoin: true },
  cancelled: { heading: "Order cancelled", text: "You have not been charged, and the item goes to the next shopper. You can join again at the end of the line.", mayJoin: true },
  refunded: { heading: "Payment refunded", text: "We have refunded the full amount. It can take a few days to reach your account. Either the shop refunded your order, or your payment arrived after the last item was sold.", mayJoin: true },
};

/** For an outcome that this page does not support. */
const ENDED = { heading: "You are no longer in line", text: "You can join again at the end of the line.", mayJoin: true };

const BEYOND_STOCK = "The sale may sell out before your turn.";
const STAY_OR_LEAVE = "If you stay, you may still get an item that another shopper gives up. You can leave at any time.";

export function viewModel(state: State, served: Served, now: Now): ViewModel {
  const { sale, phase } = state;
  const status = sale?.status ?? served.status;
  const scheduled = status === "scheduled";
  const opensAt = sale?.opens_at ?? served.opensAt;
  const untilOpenMs = Date.parse(opensAt) - now.serverMs;
  const untilOpen = untilOpenMs > 0 ? duration(untilOpenMs) : "any moment now";
  const shown: ViewModel = {
    phase: phase.at,
    title: served.name,
    texts: {
      status: STATUS[status],
      trouble: TROUBLE[state.trouble],
      leave: "Leave the line?",
      "leave-text": "The next shopper moves up. If you come back, you start at the end of the line.",
      stay: "Stay in line",
      go: "Leave",
    },
    shown: { trouble: state.trouble !== "none", opens: scheduled },
    status,
    stock: sale && { value: sale.remaining, max: sale.total },
    progress: 0,
    quantities: 1,
    sending: false,
    news: { text: "", key: phase.at },
  };
  if (scheduled) shown.texts.opens = untilOpenMs > 0 ? `Opens in ${untilOpen}, on ${moment(opensAt)}` : "Opens any moment now";
  if (sale) {
    shown.texts.stock = `${count(sale.remaining)} of ${count(sale.total)} left`;
    shown.texts.message = sale.message ?? "";
    shown.shown.message = Boolean(sale.message);
  }
  paint[phase.at](shown, phase as never, { served, status, untilOpen, now });
  const soldOut = sale?.theme?.sold_out_text;
  if (phase.at === "over" && phase.ending === "sold_out" && soldOut) shown.texts["over-text"] = soldOut;
  if (state.trouble !== "none") shown.news = { text: TROUBLE[state.trouble], key: state.trouble };
  return shown;
}

interface Around {
  served: Served;
  status: Status;
  untilOpen: string;
  now: Now;
}

const paint: { [At in Phase["at"]]: (shown: ViewModel, phase: Extract<Phase, { at: At }>, around: Around) => void } = {
  outside(shown, { problem }) {
    shown.texts["join-problem"] = problem;
  },

  joining(shown, { seeking }) {
    shown.texts.seeking = SEEKING[seeking];
    shown.news.text = SEEKING[seeking];
  },

  draw(shown, { draw: { ordinal, participants } }, { served, status, untilOpen }) {
    const others = Math.max(0, participants - 1);
    const drawText = others === 0 ? "in the draw: only you so far" : "in the draw, including you";
    const until = status === "scheduled" ? untilOpen : "drawing now";
    shown.title = `In the draw · ${served.name}`;
    Object.assign(shown.texts, {
      participants: count(Math.max(1, participants)),
      "in-draw": drawText,
      "until-draw": until,
      ordinal: count(ordinal),
      leave: "Leave the draw?",
      "leave-text": "Until the sale opens, you can join the draw again.",
      stay: "Stay in the draw",
    });
    shown.news = { text: `You are in the draw, with ${plural(others, "other shopper", "other shoppers")}. Your place is drawn when the sale opens.`, key: "draw" };
  },

  waiting(shown, { place: shownPlace }, { served, status, untilOpen, now: { steadyMs } }) {
    const { behind, ordinal, wait, beyond_stock: beyond } = shownPlace.message;
    const place = placeAt(shownPlace, steadyMs);
    const cameBack = cameBackAt(shownPlace, steadyMs);
    const back = cameBack > 0 ? `${plural(cameBack, "person", "people")} who missed their turn came back. They are served first, as you would be.` : "";
    const next = place === 0;
    const ahead = next ? "You are next" : `${plural(place, "person", "people")} ahead of you`;
    const scheduled = status === "scheduled";
    const paused = status === "paused";
    const moves = !scheduled && !paused;
    const likely = wait ? waitRange(wait.likely_s) : "not available yet";
    shown.title = next ? `Next · ${served.name}` : `${count(place)} ahead · ${served.name}`;
    shown.progress = 1 - place / Math.max(ordinal - 1, place, 1);
    Object.assign(shown.texts, {
      place: next ? "Next" : count(place),
      ahead: next ? "You are at the front of the line" : ahead.replace(/^\S+ /, ""),
      behind: count(behind),
      ordinal: count(ordinal),
      "wait-label": scheduled ? "Opens in" : "Estimated wait",
      wait: scheduled ? untilOpen : paused ? "when the sale resumes" : beyond ? BEYOND_STOCK : likely,
      bounds: moves && !beyond && wait?.bounds_s ? `90 % of shoppers wait ${waitBounds(wait.bounds_s)}` : "",
      back,
      beyond: moves ? STAY_OR_LEAVE : `${BEYOND_STOCK} ${STAY_OR_LEAVE}`,
      standstill: paused ? "The sale is paused. You keep your place." : "The sale has not opened yet. You keep your place.",
    });
    shown.shown.standstill = !moves;
    shown.shown.back = back !== "";
    shown.shown.beyond = beyond;
    const news = [back, `${ahead}.`, beyond ? BEYOND_STOCK : moves && wait ? `Estimated wait: ${likely}.` : ""].filter(Boolean).join(" ");
    shown.news = paused
      ? { text: `The sale is paused. You keep your place: ${ahead}.`, key: "paused" }
      : { text: news, key: next ? "next" : "waiting" };
  },

  // Titles name the end time, since a hidden tab does not tick but shows its title.
  turn(shown, { turn, reserving, problem }, { served, now: { serverMs } }) {
    const left = duration(Date.parse(turn.expires_at) - serverMs);
    shown.title = `Your turn! Until ${timeOfDay(turn.expires_at)} · ${served.name}`;
    shown.quantities = turn.quantity;
    shown.sending = reserving;
    const until = timeOfDay(turn.expires_at);
    Object.assign(shown.texts, {
      "turn-left": left,
      "set-aside": served.mode === "yield"
        ? `You can buy until ${until}, while stock lasts. An item is yours once it is paid for.`
        : `${turn.quantity === 1 ? "One item is" : `${count(turn.quantity)} items are`} reserved for you until ${until}.`,
      "turn-problem": problem,
      leave: "Give up your turn?",
      "leave-text": "The next shopper gets the turn. If you come back, you start at the end of the line.",
      stay: "Keep my turn",
      go: "Give up my turn",
      reserve: reserving ? "Please wait…" : "Go to checkout",
    });
    shown.shown["choose-quantity"] = turn.quantity > 1;
    shown.news = timeLeftNews("It is your turn", turn.expires_at, serverMs);
  },

  checkout(shown, { order, paying, problem }, { served, now: { serverMs } }) {
    const left = duration(Date.parse(order.hold_expires_at) - serverMs);
    shown.title = `Checkout until ${timeOfDay(order.hold_expires_at)} · ${served.name}`;
    shown.sending = paying;
    Object.assign(shown.texts, orderTexts(order, served), {
      "hold-left": left,
      "hold-words": order.status === "promised" ? "left to pay" : "reserved for you",
      "pay-problem": problem,
      leave: "Cancel this order?",
      "leave-text": "The next shopper can buy the item. If you come back, you start at the end of the line.",
      stay: "Keep order",
      go: "Cancel order",
      pay: paying ? "Please wait…" : `Pay ${money(order.amount_minor, order.currency)}`,
    });
    shown.news = timeLeftNews(order.status === "promised" ? "Complete your payment" : "Your order is reserved", order.hold_expires_at, serverMs);
  },

  pending(shown, { order, problem }, { served }) {
    const notice = order.notice ?? "";
    shown.title = `Payment pending · ${served.name}`;
    Object.assign(shown.texts, orderTexts(order, served), { notice, "withdraw-problem": problem });
    shown.shown.notice = notice !== "";
    shown.news.text = `Payment pending. ${notice || "Your bank is confirming it."}`;
  },

  bought(shown, { order }, { served }) {
    shown.title = `Order confirmed · ${served.name}`;
    Object.assign(shown.texts, orderTexts(order, served), {
      "paid-at": moment(order.paid_at ?? order.created_at),
      order: order.id,
    });
    shown.news.text = "Your order is confirmed.";
  },

  over(shown, { ending }, { served }) {
    const { heading, text, mayJoin } = Object.hasOwn(ENDING, ending) ? ENDING[ending] : ENDED;
    shown.title = `${heading} · ${served.name}`;
    shown.texts.over = heading;
    shown.texts["over-text"] = text;
    shown.shown["may-join"] = mayJoin && shown.status !== "sold_out" && shown.status !== "closed";
    shown.news.text = `${heading}. ${text}`;
  },
};

function orderTexts(order: Order, { name }: Served): Record<string, string> {
  return {
    quantity: order.quantity === 1 ? name : `${count(order.quantity)} × ${name}`,
    amount: money(order.amount_minor, order.currency),
  };
}

const REMINDERS_S = [10, 30, 60, 120];

/** News of the time left: at first, and then when little is left. */
function timeLeftNews(what: string, until: string, nowMs: number): News {
  const leftS = (Date.parse(until) - nowMs) / 1000;
  const reminder = REMINDERS_S.find((seconds) => leftS <= seconds) ?? 0;
  const left = leftS < 90 ? plural(Math.max(0, Math.round(leftS)), "second", "seconds") : plural(Math.round(leftS / 60), "minute", "minutes");
  return { text: `${what}. ${left} left.`, key: `${what}${reminder}` };
}
