/**
 * What the page shows for a state at a moment: pure, so that every word can be tested. `view.ts` puts it into the document.
 */

import type { Order, SaleCard, Status } from "../api";
import type { Ending, Phase, State, Trouble } from "./state";
import { count, countdown, moment, money, plural, STATUS, timeOfDay, waitRange } from "../words";

/** The facts that the page was served with; they hold until the line tells newer ones. */
export interface Served {
  name: string;
  opensAt: string;
  status: Status;
}

export interface Picture {
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
  lapsed: { heading: "Your time to pay has run out", text: "Nothing was charged, and the unit went to the next shopper. You may join again at the end of the line.", mayJoin: true },
  refunded: { heading: "Your payment is refunded", text: "It arrived after your time to pay had run out, and no unit was left. You get the whole amount back.", mayJoin: true },
};

export function picture(state: State, served: Served, nowMs: number): Picture {
  const { sale, phase } = state;
  const status = sale?.status ?? served.status;
  const opensAt = sale?.opens_at ?? served.opensAt;
  const untilOpenMs = Date.parse(opensAt) - nowMs;
  const untilOpen = untilOpenMs > 0 ? countdown(untilOpenMs) : "any moment";
  const shown: Picture = {
    phase: phase.at,
    title: served.name,
    texts: {
      status: STATUS[status],
      trouble: TROUBLE[state.trouble],
      opens: untilOpenMs > 0 ? `Opens in ${untilOpen}, on ${moment(opensAt)}` : "Opens any moment",
    },
    shown: { trouble: state.trouble !== "none", opens: status === "scheduled" },
    status,
    stock: sale && { value: sale.remaining, max: sale.total },
    progress: 0,
    quantities: 1,
    sending: false,
    news: { text: "", key: phase.at },
  };
  if (sale) {
    shown.texts.stock = `${count(sale.remaining)} of ${count(sale.total)} left`;
    shown.texts.message = sale.message ?? "";
    shown.shown.message = Boolean(sale.message);
  }
  paint[phase.at](shown, phase as never, { served, sale, status, untilOpen, nowMs });
  if (state.trouble !== "none") shown.news = { text: TROUBLE[state.trouble], key: state.trouble };
  return shown;
}

interface Around {
  served: Served;
  sale: SaleCard | undefined;
  status: Status;
  untilOpen: string;
  nowMs: number;
}

const paint: { [At in Phase["at"]]: (shown: Picture, phase: Extract<Phase, { at: At }>, around: Around) => void } = {
  outside(shown, { problem }) {
    shown.texts["join-problem"] = problem;
  },

  joining(shown, { seeking }) {
    shown.texts.seeking = SEEKING[seeking];
    shown.news.text = SEEKING[seeking];
  },

  waiting(shown, { place: { place, behind, ordinal, wait } }, { served, status, untilOpen }) {
    const next = place === 0;
    const ahead = next ? "You are next" : `${plural(place, "person", "people")} ahead of you`;
    const scheduled = status === "scheduled";
    const paused = status === "paused";
    const likely = wait ? waitRange(wait.likely_s) : "not known yet";
    shown.title = next ? `Next · ${served.name}` : `${count(place)} ahead · ${served.name}`;
    shown.progress = 1 - place / Math.max(ordinal - 1, place, 1);
    Object.assign(shown.texts, {
      place: next ? "Next" : count(place),
      ahead: next ? "You are at the front of the line" : ahead.replace(/^\S+ /, ""),
      behind: count(behind),
      ordinal: count(ordinal),
      "wait-label": scheduled ? "Until it opens" : "Likely wait",
      wait: scheduled ? untilOpen : paused ? "when the sale resumes" : likely,
      standstill: paused ? "The shop has paused the sale. Your place is kept." : "The sale has not opened yet. Your place is kept.",
    });
    shown.shown.standstill = paused || scheduled;
    shown.news = paused
      ? { text: `The shop has paused the sale. Your place is kept: ${ahead}.`, key: "paused" }
      : { text: scheduled || !wait ? `${ahead}.` : `${ahead}. Likely wait: ${likely}.`, key: next ? "next" : "waiting" };
  },

  turn(shown, { turn, reserving, problem }, { served, nowMs }) {
    const left = countdown(Date.parse(turn.expires_at) - nowMs);
    shown.title = `Your turn! ${left} · ${served.name}`;
    shown.quantities = turn.quantity;
    shown.sending = reserving;
    Object.assign(shown.texts, {
      "turn-left": left,
      "set-aside": `${turn.quantity === 1 ? "One unit is" : `${count(turn.quantity)} units are`} set aside for you until ${timeOfDay(turn.expires_at)}.`,
      "turn-problem": problem,
      reserve: reserving ? "One moment …" : "Go to checkout",
    });
    shown.shown["choose-quantity"] = turn.quantity > 1;
    shown.news = tellTime("It is your turn", turn.expires_at, nowMs);
  },

  checkout(shown, { order, paying, problem }, { served, nowMs }) {
    const left = countdown(Date.parse(order.hold_expires_at) - nowMs);
    shown.title = `Checkout ${left} · ${served.name}`;
    shown.sending = paying;
    Object.assign(shown.texts, orderTexts(order, served), {
      "hold-left": left,
      "pay-problem": problem,
      pay: paying ? "Paying …" : `Pay ${money(order.amount_minor, order.currency)}`,
    });
    shown.news = tellTime("Your order is held for you", order.hold_expires_at, nowMs);
  },

  pending(shown, { order }, { served }) {
    shown.title = `Payment pending · ${served.name}`;
    Object.assign(shown.texts, orderTexts(order, served));
    shown.news.text = "Payment pending. The bank is still confirming it.";
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
    const { heading, text, mayJoin } = ENDING[ending];
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
function tellTime(what: string, until: string, nowMs: number): News {
  const leftS = (Date.parse(until) - nowMs) / 1000;
  const reminder = REMINDERS_S.find((seconds) => leftS <= seconds) ?? 0;
  const left = leftS < 90 ? plural(Math.max(0, Math.round(leftS)), "second", "seconds") : plural(Math.round(leftS / 60), "minute", "minutes");
  return { text: `${what}. ${left} left.`, key: `${what}${reminder}` };
}
