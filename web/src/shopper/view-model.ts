/**
 * What the page shows for a state at a moment: pure, so that every word can be tested. `view.ts` puts it into the document.
 */

import type { Order, SaleMode, Status } from "../shared/api";
import { cameBackAt, placeAt } from "./countdown";
import type { Ending, Phase, State, Trouble } from "./state";
import { count, duration, moment, money, plural, STATUS, timeOfDay, waitBounds, waitRange } from "../shared/format";

/** The facts that the page was served with; they hold until the line tells newer ones. */
export interface Served {
  name: string;
  opensAt: string;
  status: Status;
  /** Whether a unit waits for whoever is let in; or more are let in than there are units for. */
  mode: SaleMode;
}

/** A moment, by two clocks. */
export interface Now {
  /** The server's, in Unix milliseconds: what ends at a given time is counted down by it. */
  serverMs: number;
  /** One that never goes back, in milliseconds since whenever: places are counted down by it. */
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
  /** What a screen reader says, and how long it may wait: see `announcer.ts`. */
  news: News;
}

export interface News {
  text: string;
  /** Changes when the shopper must know now; while it stays the same, news is only told now and then. */
  key: string;
}

const TROUBLE: Record<Trouble, string> = {
  none: "",
  lost: "Connection lost. Reconnecting – your place is kept.",
  "line-recovering": "The line is catching up – your place is kept.",
  busy: "The shop is very busy. Trying again by itself.",
};

const SEEKING = { ticket: "Getting your ticket", place: "Finding your place", order: "Finding your order" };

const ENDING: Record<Ending, { heading: string; text: string; mayJoin: boolean }> = {
  sold_out: { heading: "Sold out", text: "Every unit has been bought. Thank you for coming.", mayJoin: false },
  closed: { heading: "The sale is closed", text: "The shop has ended this sale. Thank you for coming.", mayJoin: false },
  expired: { heading: "Your turn has run out", text: "The unit that was set aside for you went to the next shopper. You may join again at the end of the line.", mayJoin: true },
  bought: { heading: "Your turn was used", text: "This ticket has bought already.", mayJoin: false },
  left: { heading: "You have left the line", text: "You may join again at the end of the line.", mayJoin: true },
  removed: { heading: "The shop has taken your ticket out of the line", text: "You may join again at the end.", mayJoin: true },
  missed: { heading: "Your turn passed while you were away", text: "It was kept for you as long as the shop allows. You may join again at the end of the line.", mayJoin: true },
  limit: { heading: "You have reached the limit per shopper", text: "You have bought, or hold, as many units of this sale as one shopper may. If some of them go back, you may join again.", mayJoin: true },
  lapsed: { heading: "Your time to pay has run out", text: "Nothing was charged, and the unit went to the next shopper. You may join again at the end of the line.", mayJoin: true },
  cancelled: { heading: "You have given it back", text: "Nothing was charged, and the unit goes to the next shopper. You may join again at the end of the line.", mayJoin: true },
  refunded: { heading: "Your payment is refunded", text: "The shop has given the whole amount back, or your payment came too late and no unit was left. It is on its way to you.", mayJoin: true },
};

/** For an outcome that this page has not heard of. */
const ENDED = { heading: "Your place has ended", text: "You may join again at the end of the line.", mayJoin: true };

const BEYOND_STOCK = "Longer than the remaining stock is likely to last.";
const STAY_OR_LEAVE = "You may stay, since what others give back goes to the next in line, or leave at any time.";

export function viewModel(state: State, served: Served, now: Now): ViewModel {
  const { sale, phase } = state;
  const status = sale?.status ?? served.status;
  const scheduled = status === "scheduled";
  const opensAt = sale?.opens_at ?? served.opensAt;
  const untilOpenMs = Date.parse(opensAt) - now.serverMs;
  const untilOpen = untilOpenMs > 0 ? duration(untilOpenMs) : "any moment";
  const shown: ViewModel = {
    phase: phase.at,
    title: served.name,
    texts: {
      status: STATUS[status],
      trouble: TROUBLE[state.trouble],
      leave: "Leave the line?",
    },
    shown: { trouble: state.trouble !== "none", opens: scheduled },
    status,
    stock: sale && { value: sale.remaining, max: sale.total },
    progress: 0,
    quantities: 1,
    sending: false,
    news: { text: "", key: phase.at },
  };
  if (scheduled) shown.texts.opens = untilOpenMs > 0 ? `Opens in ${untilOpen}, on ${moment(opensAt)}` : "Opens any moment";
  if (sale) {
    shown.texts.stock = `${count(sale.remaining)} of ${count(sale.total)} left`;
    shown.texts.message = sale.message ?? "";
    shown.shown.message = Boolean(sale.message);
  }
  paint[phase.at](shown, phase as never, { served, status, untilOpen, now });
  const soldOut = sale?.look?.sold_out_text;
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
    const company = others === 0 ? "in the draw so far: you" : `in the draw: you and ${plural(others, "other", "others")}`;
    const until = status === "scheduled" ? untilOpen : "the draw is being made";
    shown.title = `In the draw · ${served.name}`;
    Object.assign(shown.texts, { participants: count(Math.max(1, participants)), "in-draw": company, "until-draw": until, ordinal: count(ordinal) });
    shown.news = { text: `You are in the draw, with ${plural(others, "other shopper", "other shoppers")}. Your place is drawn when the sale opens.`, key: "draw" };
  },

  waiting(shown, { place: shownPlace }, { served, status, untilOpen, now: { steadyMs } }) {
    const { behind, ordinal, wait, beyond_stock: beyond } = shownPlace.message;
    const place = placeAt(shownPlace, steadyMs);
    const cameBack = cameBackAt(shownPlace, steadyMs);
    const back = cameBack > 0 ? `${plural(cameBack, "person who was", "people who were")} ahead of you came back. ${cameBack === 1 ? "That turn is" : "Their turns are"} kept, as yours would be.` : "";
    const next = place === 0;
    const ahead = next ? "You are next" : `${plural(place, "person", "people")} ahead of you`;
    const scheduled = status === "scheduled";
    const paused = status === "paused";
    const moves = !scheduled && !paused;
    const likely = wait ? waitRange(wait.likely_s) : "not known yet";
    shown.title = next ? `Next · ${served.name}` : `${count(place)} ahead · ${served.name}`;
    shown.progress = 1 - place / Math.max(ordinal - 1, place, 1);
    Object.assign(shown.texts, {
      place: next ? "Next" : count(place),
      ahead: next ? "You are at the front of the line" : ahead.replace(/^\S+ /, ""),
      behind: count(behind),
      ordinal: count(ordinal),
      "wait-label": scheduled ? "Until it opens" : "Likely wait",
      wait: scheduled ? untilOpen : paused ? "when the sale resumes" : beyond ? BEYOND_STOCK : likely,
      bounds: moves && !beyond && wait?.bounds_s ? `Nine times of ten ${waitBounds(wait.bounds_s)}` : "",
      back,
      beyond: moves ? STAY_OR_LEAVE : `Your wait is likely to be longer than the stock lasts. ${STAY_OR_LEAVE}`,
      standstill: paused ? "The shop has paused the sale. Your place is kept." : "The sale has not opened yet. Your place is kept.",
    });
    shown.shown.standstill = !moves;
    shown.shown.back = back !== "";
    shown.shown.beyond = beyond;
    const told = [back, `${ahead}.`, beyond ? BEYOND_STOCK : moves && wait ? `Likely wait: ${likely}.` : ""].filter(Boolean).join(" ");
    shown.news = paused
      ? { text: `The shop has paused the sale. Your place is kept: ${ahead}.`, key: "paused" }
      : { text: told, key: next ? "next" : "waiting" };
  },

  // Titles name the time of the end: nothing ticks in a tab that nobody looks at, but its title is read.
  turn(shown, { turn, reserving, problem }, { served, now: { serverMs } }) {
    const left = duration(Date.parse(turn.expires_at) - serverMs);
    shown.title = `Your turn! Until ${timeOfDay(turn.expires_at)} · ${served.name}`;
    shown.quantities = turn.quantity;
    shown.sending = reserving;
    const until = timeOfDay(turn.expires_at);
    Object.assign(shown.texts, {
      "turn-left": left,
      "set-aside": served.mode === "yield"
        ? `You may buy until ${until}, while units last. What you choose is yours once it is paid.`
        : `${turn.quantity === 1 ? "One unit is" : `${count(turn.quantity)} units are`} set aside for you until ${until}.`,
      "turn-problem": problem,
      reserve: reserving ? "One moment …" : "Go to checkout",
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
      "hold-words": order.status === "promised" ? "to pay, and make it yours" : "held for you",
      "pay-problem": problem,
      leave: "Give it back?",
      pay: paying ? "One moment …" : `Pay ${money(order.amount_minor, order.currency)}`,
    });
    shown.news = timeLeftNews(order.status === "promised" ? "Pay to make it yours" : "Your order is held for you", order.hold_expires_at, serverMs);
  },

  pending(shown, { order, problem }, { served }) {
    const notice = order.notice ?? "";
    shown.title = `Payment pending · ${served.name}`;
    Object.assign(shown.texts, orderTexts(order, served), { notice, "withdraw-problem": problem });
    shown.shown.notice = notice !== "";
    shown.news.text = `Payment pending. ${notice || "The bank is still confirming it."}`;
  },

  bought(shown, { order }, { served }) {
    shown.title = `It’s yours · ${served.name}`;
    Object.assign(shown.texts, orderTexts(order, served), {
      "paid-at": moment(order.paid_at ?? order.created_at),
      order: order.id,
    });
    shown.news.text = "The order is paid and confirmed.";
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

/** Says how much time is left, at first and then when little is. */
function timeLeftNews(what: string, until: string, nowMs: number): News {
  const leftS = (Date.parse(until) - nowMs) / 1000;
  const reminder = REMINDERS_S.find((seconds) => leftS <= seconds) ?? 0;
  const left = leftS < 90 ? plural(Math.max(0, Math.round(leftS)), "second", "seconds") : plural(Math.round(leftS / 60), "minute", "minutes");
  return { text: `${what}. ${left} left.`, key: `${what}${reminder}` };
}
