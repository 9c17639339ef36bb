/** The admin console: who is signed in, and which screen is shown. */

import type { Role, Session } from "../api";
import { field } from "../field";
import { inWords, type Answer } from "../http";
import { timeOfDay } from "../words";
import { AuditScreen } from "./audit";
import { AdminClient } from "./client";
import { fill, part } from "./element";
import { OperatorsScreen } from "./operators";
import { ReportScreen } from "./report";
import { notAllowed, SaleForm } from "./sale-form";
import { SaleScreen } from "./sale-screen";
import { SalesScreen } from "./sales-screen";
import type { Desk, Screen } from "./screen";
import { SignIn } from "./sign-in";
import { WebhooksScreen } from "./webhooks-screen";

const RANKS: Role[] = ["viewer", "operator", "owner"];

const place = part(document, "#screen", HTMLElement);
const menu = part(document, "#menu", HTMLElement);
const trouble = part(document, "#trouble", HTMLElement);
const said = part(document, "#said", HTMLElement);
const account = part(document, "#account", HTMLDialogElement);
const client = new AdminClient();
const signIn = new SignIn(client, words, enter);
let session: Session | undefined;
let screen: Screen | undefined;

function words(answer: Exclude<Answer<unknown>, { kind: "ok" }>): string {
  if (answer.kind === "refused") return inWords(answer.problem);
  return "The controller cannot be reached, or is busy. Nothing is known to have changed; look, and try again.";
}

function say(text: string): void {
  said.textContent = text;
  said.hidden = text === "";
}

const desk: Desk = {
  client,
  get name() { return session?.name ?? ""; },
  may: (role) => session !== undefined && RANKS.indexOf(session.role) >= RANKS.indexOf(role),
  say,
  heard: (answer) => {
    if (answer.kind === "ok") {
      trouble.textContent = "";
      // An empty answer is a good one, too.
      return answer.body ?? ({} as typeof answer.body);
    }
    if (answer.kind === "refused" && /\/(no-session|no-token)$/.test(answer.problem.type)) leave("Please sign in again.");
    else trouble.textContent = words(answer);
    return undefined;
  },
  oldSince: (moment) => {
    const note = part(document, "#connection", HTMLElement);
    note.hidden = moment === undefined;
    if (moment) fill(note, { since: timeOfDay(moment.toISOString()) });
  },
  ended: () => { leave("The session has ended. Please sign in again."); },
};

function enter(begun: Session): void {
  session = begun;
  signIn.hide();
  menu.hidden = false;
  part(menu, "[data-owners]", HTMLElement).hidden = !desk.may("owner");
  part(document, "#who", HTMLElement).textContent = `${begun.name} (${begun.role})`;
  show();
}

function leave(why = ""): void {
  session = undefined;
  screen?.leave?.();
  screen = undefined;
  place.replaceChildren();
  menu.hidden = true;
  trouble.textContent = "";
  say("");
  desk.oldSince(undefined);
  document.title = "Fairline admin";
  signIn.show(why);
}

/** The screen that an address means. */
function at(address: string): Screen {
  const [path = "", query = ""] = address.replace(/^#\/?/, "").split("?");
  const asked = new URLSearchParams(query);
  const [kind, id, what] = path.split("/");
  if (kind === "sales" && id !== undefined) return what === "report" ? new ReportScreen(desk, id) : new SaleScreen(desk, id);
  if (kind === "new") return desk.may("operator") ? new SaleForm(desk, asked.get("copy") ?? undefined) : notAllowed();
  if (kind === "audit") return new AuditScreen(desk, asked.get("sale") ?? undefined);
  if (kind === "operators") return new OperatorsScreen(desk);
  if (kind === "webhooks") return new WebhooksScreen(desk);
  return new SalesScreen(desk);
}

function show(): void {
  if (!session) return;
  const before = screen;
  before?.leave?.();
  trouble.textContent = "";
  say("");
  screen = at(location.hash);
  place.replaceChildren(screen.element);
  document.title = `${screen.title} – Fairline`;
  for (const link of menu.querySelectorAll("a")) {
    const here = location.hash.startsWith(link.hash) || (link.hash === "#/sales" && location.hash === "");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  // Where one came to, for the keyboard and for who listens.
  if (before) {
    const heading = screen.element.querySelector("h1");
    heading?.setAttribute("tabindex", "-1");
    heading?.focus();
    scrollTo(0, 0);
  }
}

part(document, "#sign-out", HTMLButtonElement).addEventListener("click", () => void client.signOut().then(() => { leave(); }));
part(document, "#show-account", HTMLButtonElement).addEventListener("click", () => { account.showModal(); });
part(account, "form", HTMLFormElement).addEventListener("submit", (event) => {
  const form = part(account, "form", HTMLFormElement);
  if ((event.submitter as HTMLButtonElement | null)?.value !== "go") return;
  event.preventDefault();
  void client.changePassword(field(form, "old"), field(form, "new")).then((answer) => {
    form.reset();
    account.close();
    if (answer.kind === "ok") leave("Your password is changed. Please sign in with it.");
    else trouble.textContent = words(answer);
  });
});
addEventListener("hashchange", show);

void client.session().then((answer) => {
  if (answer.kind === "ok") enter(answer.body);
  else leave(answer.kind === "failed" ? words(answer) : "");
});
