/**
 * The state of the shopper page, and how each event changes it. Pure: no DOM, no clock, no network;
 * time is given in milliseconds of a monotonic clock.
 *
 * There are two independent facts: where the shopper is (`phase`), and whether the line is
 * connected (`trouble`). A lost connection therefore never changes the phase: the last place stays
 * until the next message.
 */

import type { DrawMessage, LineMessage, Order, Outcome, Problem, SaleCard, Status, TurnMessage } from "../shared/api";
import { problemText } from "../shared/http";
import { applyPlace, stopCountdown, type ShownPlace } from "./countdown";

/** How it ended: an outcome of the line, or of an order. */
export type Ending = Outcome | "hold_expired" | "refunded" | "cancelled";

export type Phase =
  | { at: "outside"; problem: string }
  | { at: "joining"; seeking: "ticket" | "place" | "order" }
  | { at: "draw"; draw: DrawMessage }
  | { at: "waiting"; place: ShownPlace }
  | { at: "turn"; turn: TurnMessage; reserving: boolean; problem: string }
  | { at: "checkout"; order: Order; paying: boolean; problem: string }
  | { at: "pending"; order: Order; problem: string }
  | { at: "bought"; order: Order }
  | { at: "over"; ending: Ending };

export type Trouble = "none" | "lost" | "line-recovering" | "busy";

export interface State {
  /** Unknown until the first message; the page shows what it was served with. */
  sale: SaleCard | undefined;
  phase: Phase;
  trouble: Trouble;
}

export type Event =
  | { type: "join" }
  | { type: "resume" }
  | { type: "line"; message: LineMessage }
  | { type: "lost"; busy: boolean }
  | { type: "refused"; problem: Problem }
  | { type: "sale"; sale: SaleCard }
  | { type: "reserve" }
  | { type: "reserve-failed"; problem: Problem }
  | { type: "signed-in" }
  /** The page comes out of the back/forward cache. */
  | { type: "restored" }
  | { type: "pay" }
  | { type: "pay-failed"; problem: Problem }
  | { type: "withdrawn"; order: Order }
  | { type: "withdraw-failed"; problem: Problem }
  | { type: "order"; order: Order };

/** Where a page starts that was served with this status. */
export function initialState(status: Status): State {
  const over = status === "sold_out" || status === "closed";
  return { sale: undefined, phase: over ? { at: "over", ending: status } : { at: "outside", problem: "" }, trouble: "none" };
}

export function reduce(state: State, event: Event, nowMs: number): State {
  const phase = state.phase;
  switch (event.type) {
    case "join":
      return { ...state, phase: { at: "joining", seeking: "ticket" } };
    case "resume":
      return { ...state, phase: { at: "joining", seeking: "place" } };
    case "line":
      return applyMessage(state, event.message, nowMs);
    case "lost":
      return { ...state, trouble: event.busy ? "busy" : "lost", phase: stop(phase, nowMs) };
    case "refused":
      return { ...state, trouble: "none", phase: refuse(event.problem) };
    case "sale":
      return { ...state, sale: event.sale, phase: followsStatus(phase) ? follow(phase, event.sale.status) : phase };
    case "reserve":
      return phase.at === "turn" ? { ...state, phase: { ...phase, reserving: true, problem: "" } } : state;
    case "reserve-failed":
      return phase.at === "turn" ? { ...state, phase: { ...phase, reserving: false, problem: problemText(event.problem) } } : state;
    case "restored":
      return phase.at === "turn" ? { ...state, phase: { ...phase, reserving: false } } : state;
    case "signed-in":
      return phase.at === "turn" ? { ...state, phase: { ...phase, problem: "" } } : state;
    case "pay":
      return phase.at === "checkout" ? { ...state, phase: { ...phase, paying: true, problem: "" } } : state;
    case "pay-failed":
      return phase.at === "checkout" ? { ...state, phase: { ...phase, paying: false, problem: problemText(event.problem) } } : state;
    case "withdrawn":
      // The following change is the shopper's own choice, and no refusal of the bank.
      return { ...state, trouble: "none", phase: orderPhase({ at: "joining", seeking: "order" }, event.order) };
    case "withdraw-failed":
      return phase.at === "pending" ? { ...state, phase: { ...phase, problem: problemText(event.problem) } } : state;
    case "order":
      return { ...state, trouble: "none", phase: orderPhase(phase, event.order) };
  }
}

function applyMessage(state: State, message: LineMessage, nowMs: number): State {
  if (message.type === "reconnecting") return { ...state, trouble: "line-recovering", phase: stop(state.phase, nowMs) };
  const received: State = { ...state, trouble: "none" };
  if (message.type === "sale") return { ...received, sale: message.sale, phase: message.sale.status === "open" ? state.phase : stop(state.phase, nowMs) };
  // With an order, messages of the line no longer matter.
  if (hasOrder(state.phase)) return received;
  switch (message.type) {
    case "place":
      return { ...received, sale: withRemaining(state.sale, message.remaining), phase: { at: "waiting", place: applyPlace(state.phase.at === "waiting" ? state.phase.place : undefined, message, nowMs) } };
    case "draw":
      return { ...received, phase: { at: "draw", draw: message } };
    case "turn":
      return { ...received, phase: turnPhase(state.phase, message) };
    case "heartbeat":
      return state;
    case "over":
      return { ...received, phase: overPhase(state.phase, message.outcome) };
  }
}

/** Every place comes with the number of units that are left. */
function withRemaining(sale: SaleCard | undefined, remaining: number | null): SaleCard | undefined {
  return sale && remaining !== null ? { ...sale, remaining } : sale;
}

/** The page counts down only while the line moves. */
function stop(phase: Phase, nowMs: number): Phase {
  return phase.at === "waiting" ? { ...phase, place: stopCountdown(phase.place, nowMs) } : phase;
}

/** A turn may be repeated, after a reconnect or by polling: what the shopper began stays. */
function turnPhase(phase: Phase, turn: TurnMessage): Phase {
  return phase.at === "turn" && phase.turn.token === turn.token ? { ...phase, turn } : { at: "turn", turn, reserving: false, problem: "" };
}

/** Whether the shopper is outside the line, so that the page follows the status of the sale. */
export function followsStatus(phase: Phase): boolean {
  return phase.at === "outside" || (phase.at === "over" && (phase.ending === "sold_out" || phase.ending === "closed"));
}

/** A sale that was sold out may open again: a unit came back, or the stock was raised. */
function follow(phase: Phase, status: Status): Phase {
  const shown = initialState(status).phase;
  return phase.at === "outside" && shown.at === "outside" ? phase : shown;
}

function overPhase(phase: Phase, outcome: Outcome): Phase {
  if (outcome !== "bought") return { at: "over", ending: outcome };
  // This page has used the turn itself, and the response is on the way.
  if (phase.at === "turn" && phase.reserving) return phase;
  return { at: "joining", seeking: "order" };
}

function refuse(problem: Problem): Phase {
  if (problem.type.endsWith("/sale-over")) return { at: "over", ending: "closed" };
  // A missing ticket is not an error: the shopper may still get one.
  return { at: "outside", problem: problem.type.endsWith("/missing-ticket") ? "" : problemText(problem) };
}

function orderPhase(phase: Phase, order: Order): Phase {
  switch (order.status) {
    case "promised":
    case "held":
      if (phase.at === "checkout" && phase.order.id === order.id) return { ...phase, order };
      return { at: "checkout", order, paying: false, problem: phase.at === "pending" ? "Your bank declined the payment. You have not been charged." : "" };
    case "payment_pending":
      return { at: "pending", order, problem: phase.at === "pending" ? phase.problem : "" };
    case "paid":
      return { at: "bought", order };
    case "expired":
      return { at: "over", ending: "hold_expired" };
    case "refunded":
    case "cancelled":
      return { at: "over", ending: order.status };
  }
}

function hasOrder(phase: Phase): boolean {
  return phase.at === "checkout" || phase.at === "pending" || phase.at === "bought" || (phase.at === "over" && ["hold_expired", "refunded", "cancelled"].includes(phase.ending));
}
