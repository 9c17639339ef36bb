/**
 * The shopper page: events change the state, a view model is computed from the state, and the view
 * shows it.
 */

import { LineConnection, type Entry } from "./connection";
import { listenToControls } from "./controls";
import { cookieProblem } from "./cookies";
import { Page } from "./page";
import { Purchase } from "./purchase";
import { watchStatus } from "./sale-status";
import { Turn } from "./turn";
import { Visibility } from "./visibility";

function start(root: HTMLElement): void {
  const { saleId = "", leadsTo = saleId, joined, attention = "", secureCookies } = root.dataset;
  const page = new Page(root);
  // An account that the shop names, or an invitation to a lane.
  const credentials = [...new URLSearchParams(location.search)].filter(([name]) => name === "account" || name === "invitation");
  const line = new LineConnection(saleId, Object.fromEntries(credentials), {
    received(message) {
      page.dispatch({ type: "line", message });
      if (message.type === "turn") turn.meet(message);
      if (page.phase.at === "joining" && page.phase.seeking === "order") void purchase.load();
    },
    lost: (busy) => { page.dispatch({ type: "lost", busy }); },
    refused: (problem) => { page.dispatch({ type: "refused", problem }); },
  });
  const turn = new Turn(page, line);
  const purchase = new Purchase(page, line, leadsTo);

  const enter = (entry: Entry): void => {
    const problem = entry === "resume" ? undefined : cookieProblem(secureCookies === "true");
    if (problem) {
      page.dispatch({ type: "refused", problem });
      return;
    }
    page.dispatch({ type: entry === "resume" ? "resume" : "join" });
    line.open(entry);
    turn.loadAttention(attention, saleId).catch(() => undefined);
  };
  const leave = (): void => {
    line.leave();
    page.dispatch({ type: "line", message: { type: "over", outcome: "left" } });
  };

  listenToControls(root, { page, turn, purchase, enter, leave });
  root.addEventListener("signed-in", () => { page.dispatch({ type: "signed-in" }); });
  page.show();
  new Visibility({ page, line, turn, purchase }).start();
  void watchStatus(page, saleId);
  if (joined === "true") {
    enter("resume");
    return;
  }
  const problem = page.phase.at === "outside" ? cookieProblem(secureCookies === "true") : undefined;
  if (problem) page.dispatch({ type: "refused", problem });
}

const root = document.querySelector<HTMLElement>("main[data-sale-id]");
if (root) start(root);
