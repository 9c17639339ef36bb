/** The shopper page: events change the state, the state gives a view model, the view shows it. */

import type { Order, Problem, SaleCard, SaleMode, Status, TurnMessage } from "../shared/api";
import { Announcer } from "./announcer";
import type * as Calling from "./attention";
import { findOrder, cancelOrder, isToBePaid, pause, pay, readOrder, reserve, withdraw } from "./checkout";
import { LineConnection, type Entry } from "./connection";
import { cookieProblem } from "./cookies";
import { field } from "../shared/form-field";
import { request } from "../shared/http";
import { viewModel, type Served } from "./view-model";
import { followsStatus, initialState, reduce, type Event, type State } from "./state";
import { View } from "./view";

const TICK_MS = 1_000;
/** A tick this late means that the machine was asleep. */
const ASLEEP_MS = 15_000;
const STATUS_EVERY_MS = 5_000;
const ORDER_EVERY_MS = 1_500;

const UNREACHABLE: Problem = { type: "about:blank", title: "The shop is busy or could not be reached. Please try again in a moment." };

function start(root: HTMLElement): void {
  const { saleId = "", leadsTo = saleId, joined, now = "", status = "open", mode = "guarantee", opensAt = "", ownCheckout = "", attention: calling = "", secureCookies } = root.dataset;
  const served: Served = { name: root.querySelector("h1")?.textContent ?? "", opensAt, status: status as Status, mode: mode as SaleMode };
  const view = new View(root);
  const announcer = new Announcer();
  const serverNow = serverClock(now);
  let state: State = initialState(served.status);
  let ticking: ReturnType<typeof setInterval> | undefined;

  const show = (): void => {
    const seen = viewModel(state, served, { serverMs: serverNow(), steadyMs: performance.now() });
    view.show(seen);
    const news = announcer.next(seen.news, Date.now());
    if (news !== undefined) view.announce(news);
  };

  const dispatch = (event: Event): void => {
    const before = state;
    state = reduce(state, event, performance.now());
    // A place that only moved waits for the next tick, which paints it with the rest.
    const merelyMoved = event.type === "line" && event.message.type === "place" && before.phase.at === "waiting" && before.trouble === state.trouble;
    if (!merelyMoved || ticking === undefined) show();
  };

  // An account that the shop names, or an invitation to a lane.
  const credentials = [...new URLSearchParams(location.search)].filter(([name]) => name === "account" || name === "invitation");
  const line = new LineConnection(saleId, Object.fromEntries(credentials), {
    received(message) {
      dispatch({ type: "line", message });
      if (message.type === "turn") meetTurn(message);
      if (state.phase.at === "joining" && state.phase.seeking === "order") void loadOrder();
    },
    lost: (busy) => { dispatch({ type: "lost", busy }); },
    refused: (problem) => { dispatch({ type: "refused", problem }); },
  });

  /** Alerts the shopper at the turn; undefined until its script is loaded. */
  let attention: Calling.Attention | undefined;
  const loadAttention = async (): Promise<void> => {
    const { Attention } = (await import(calling)) as typeof Calling;
    attention ??= new Attention(saleId);
  };

  /** A turn that arrived while the page was hidden, and is not claimed yet. */
  let unseen: TurnMessage | undefined;
  let calledFor = "";

  /** A hidden page disconnects like a closed one, so that its turn expires and is recalled. */
  const meetTurn = (turn: TurnMessage): void => {
    // The message is repeated after each reconnection.
    if (turn.token !== calledFor) attention?.call(served.name, Date.parse(turn.claim_by) - serverNow());
    calledFor = turn.token;
    if (document.visibilityState === "visible") line.claim();
    else {
      unseen = turn;
      line.rest();
    }
  };

  const seeTurn = (): void => {
    if (!unseen) return;
    if (serverNow() < Date.parse(unseen.claim_by)) line.claim();
    else dispatch({ type: "resume" });
    unseen = undefined;
  };

  const enter = (entry: Entry): void => {
    const problem = entry === "resume" ? undefined : cookieProblem(secureCookies === "true");
    if (problem) {
      dispatch({ type: "refused", problem });
      return;
    }
    dispatch({ type: entry === "resume" ? "resume" : "join" });
    line.open(entry);
    // Without the script the page still shows the turn.
    if (!attention) loadAttention().catch(() => undefined);
  };

  const leave = (): void => {
    line.leave();
    dispatch({ type: "line", message: { type: "over", outcome: "left" } });
  };

  const release = async (order: Order): Promise<void> => {
    dispatch({ type: "pay" });
    const answer = await cancelOrder(order);
    if (answer.kind === "ok") showOrder(answer.body);
    else dispatch({ type: "pay-failed", problem: answer.kind === "refused" ? answer.problem : UNREACHABLE });
  };

  /** Cancels the payment under way; the order stays, while there is time to pay for it. */
  const withdrawPayment = async (order: Order): Promise<void> => {
    const answer = await withdraw(order);
    if (answer.kind === "ok") dispatch({ type: "withdrawn", order: answer.body });
    else if (answer.kind === "refused" && answer.problem.order) dispatch({ type: "order", order: answer.problem.order });
    else dispatch({ type: "withdraw-failed", problem: answer.kind === "refused" ? answer.problem : UNREACHABLE });
  };

  const showOrder = (order: Order): void => {
    dispatch({ type: "order", order });
    line.close();
    if (order.status === "payment_pending") void follow(order);
  };

  const loadOrder = async (): Promise<void> => {
    const order = await findOrder(leadsTo);
    if (order) showOrder(order);
    else dispatch({ type: "refused", problem: UNREACHABLE });
  };

  /** Polls an order until it is settled. */
  const follow = async (order: Order): Promise<void> => {
    await pause(ORDER_EVERY_MS);
    const answer = await readOrder(order.id);
    if (state.phase.at !== "pending") return;
    showOrder(answer.kind === "ok" ? answer.body : order);
  };

  const forms: Record<string, (form: HTMLFormElement) => void> = {
    join: () => { enter("join"); },

    reserve(form) {
      if (state.phase.at !== "turn" || state.phase.reserving) return;
      const { token } = state.phase.turn;
      const quantity = Number(field(form, "quantity"));
      dispatch({ type: "reserve" });
      if (ownCheckout !== "") {
        location.assign(ownCheckout + token);
        return;
      }
      void reserve(leadsTo, token, quantity).then((answer) => {
        if (answer.kind === "ok") showOrder(answer.body);
        else dispatch({ type: "reserve-failed", problem: answer.kind === "refused" ? answer.problem : UNREACHABLE });
      });
    },

    pay(form) {
      if (state.phase.at !== "checkout" || state.phase.paying) return;
      const { order } = state.phase;
      const method = field(form, "payment_method");
      dispatch({ type: "pay" });
      void pay(order, method).then((answer) => {
        if (answer.kind === "ok") showOrder(answer.body);
        else dispatch({ type: "pay-failed", problem: answer.kind === "refused" ? answer.problem : UNREACHABLE });
      });
    },
  };

  const dialog = root.querySelector("dialog");
  const showNotify = (): void => {
    for (const button of root.querySelectorAll<HTMLElement>("[data-notify]")) button.hidden = !("Notification" in window) || Notification.permission !== "default";
  };
  const buttons: Record<string, () => void> = {
    notify() {
      void Notification.requestPermission().then((answer) => {
        view.announce(answer === "granted" ? "You will be notified when it’s your turn." : "Your browser blocks notifications from this site. Allow them in its settings, or keep this page open.");
        showNotify();
      });
    },
    "join-again": () => { enter("rejoin"); },
    "withdraw"() {
      if (state.phase.at === "pending") void withdrawPayment(state.phase.order);
    },
    "ask-to-leave"() {
      if (!dialog) return;
      dialog.returnValue = "stay";
      dialog.showModal();
    },
  };

  root.addEventListener("submit", (event) => {
    const form = event.target as HTMLFormElement;
    const submit = forms[form.dataset.do ?? ""];
    if (!submit) return;
    event.preventDefault();
    submit(form);
  });
  root.addEventListener("click", (event) => {
    attention?.prepare();
    const button = (event.target as Element).closest<HTMLElement>("button[data-do]");
    buttons[button?.dataset.do ?? ""]?.();
  });
  dialog?.addEventListener("close", () => {
    if (dialog.returnValue !== "leave") return;
    if (state.phase.at === "checkout") void release(state.phase.order);
    else leave();
  });

  /** A hold may have expired, or another tab may have paid for it. */
  const refreshHold = (): void => {
    if (state.phase.at !== "checkout" || state.phase.paying) return;
    void readOrder(state.phase.order.id).then((answer) => {
      if (answer.kind === "ok" && !isToBePaid(answer.body)) showOrder(answer.body);
    });
  };

  let tickedAt = 0;
  const tick = (): void => {
    const asleep = Date.now() - tickedAt > ASLEEP_MS;
    tickedAt = Date.now();
    if (asleep) attend();
    show();
    if (state.phase.at === "checkout" && serverNow() > Date.parse(state.phase.order.hold_expires_at)) refreshHold();
  };

  /** Starts the ticks of a visible page with a refresh, and stops those of a hidden one. */
  const attend = (): void => {
    clearInterval(ticking);
    ticking = undefined;
    if (document.visibilityState !== "visible") return;
    tickedAt = Date.now();
    ticking = setInterval(tick, TICK_MS);
    attention?.stop();
    seeTurn();
    show();
    line.wake();
    refreshHold();
  };
  document.addEventListener("visibilitychange", attend);
  window.addEventListener("pageshow", ({ persisted }) => {
    if (persisted) {
      dispatch({ type: "restored" });
      line.renew();
    }
    attend();
  });
  window.addEventListener("online", attend);
  window.addEventListener("offline", () => { line.networkGone(); });

  /** Shoppers outside the line follow the sale's public status, which caches well. */
  const watchStatus = async (atLeastMs = 0): Promise<void> => {
    await pause(atLeastMs + STATUS_EVERY_MS * (0.75 + Math.random() / 2));
    await pageIsVisible();
    let waitMs: number | undefined;
    if (followsStatus(state.phase)) {
      const answer = await request<SaleCard>(`/api/flash-sales/${saleId}/status`, { cache: "default" });
      if (answer.kind === "ok") dispatch({ type: "sale", sale: answer.body });
      if (answer.kind === "failed") waitMs = answer.atLeastMs;
    }
    void watchStatus(waitMs);
  };

  root.addEventListener("signed-in", () => { dispatch({ type: "signed-in" }); });
  show();
  showNotify();
  attend();
  void watchStatus();
  if (joined === "true") {
    enter("resume");
    return;
  }
  const problem = state.phase.at === "outside" ? cookieProblem(secureCookies === "true") : undefined;
  if (problem) dispatch({ type: "refused", problem });
}

function pageIsVisible(): Promise<void> {
  return new Promise((resolve) => {
    if (document.visibilityState === "visible") resolve();
    else document.addEventListener("visibilitychange", () => { resolve(pageIsVisible()); }, { once: true });
  });
}

/** The server's clock, as written into the page: a shopper's clock may be minutes off. */
function serverClock(servedAt: string): () => number {
  const [load] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  const ahead = Date.parse(servedAt) - (performance.timeOrigin + (load?.responseStart ?? 0));
  return () => Date.now() + (Number.isFinite(ahead) ? ahead : 0);
}

const root = document.querySelector<HTMLElement>("main[data-sale-id]");
if (root) start(root);
