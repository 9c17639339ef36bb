/** The admin console: the signed-in operator, and the screen that the address names. */

import type { Role, Session } from "../shared/api";
import { problemText, type Answer } from "../shared/http";
import { timeOfDay } from "../shared/format";
import { AccessDeniedScreen } from "./screens/access-denied";
import { AccountDialog } from "./screens/account";
import { AuditScreen } from "./screens/audit";
import { AdminClient } from "./client";
import { fill, part } from "./components/element";
import { OperatorsScreen } from "./screens/operators";
import { ProductImportScreen } from "./screens/product-import";
import { ProductScreen } from "./screens/product";
import { ProductsScreen } from "./screens/products";
import { ReportScreen } from "./screens/report";
import { SaleForm } from "./screens/sale-form";
import { SaleScreen } from "./screens/sale";
import { SalesScreen } from "./screens/sales";
import type { ConsoleContext, Screen } from "./screen";
import { SignIn } from "./screens/sign-in";
import { WebhooksScreen } from "./screens/webhooks";

const RANKS: Role[] = ["viewer", "operator", "owner"];

const place = part(document, "#screen", HTMLElement);
const menu = part(document, "#menu", HTMLElement);
const trouble = part(document, "#trouble", HTMLElement);
const notice = part(document, "#notice", HTMLElement);
const client = new AdminClient();
const signIn = new SignIn(client, failureText, enter);
const account = new AccountDialog(client, (answer) => {
  if (answer.kind === "ok") leave("Password changed. Please sign in with your new password.");
  else trouble.textContent = failureText(answer);
});
let session: Session | undefined;
let screen: Screen | undefined;

function failureText(answer: Exclude<Answer<unknown>, { kind: "ok" }>): string {
  if (answer.kind === "refused") return problemText(answer.problem);
  return "The controller is unreachable or busy. If you changed something, check whether it was saved before you try again.";
}

function notify(text: string): void {
  notice.textContent = text;
  notice.hidden = text === "";
}

const context: ConsoleContext = {
  client,
  get name() { return session?.name ?? ""; },
  may: (role) => session !== undefined && RANKS.indexOf(session.role) >= RANKS.indexOf(role),
  notify,
  unwrap: (answer) => {
    if (answer.kind === "ok") {
      trouble.textContent = "";
      // A successful response may be empty.
      return answer.body ?? ({} as typeof answer.body);
    }
    if (answer.kind === "refused" && /\/(invalid-session|missing-credentials)$/.test(answer.problem.type)) leave("Please sign in again.");
    else trouble.textContent = failureText(answer);
    return undefined;
  },
  staleSince: (moment) => {
    const note = part(document, "#connection", HTMLElement);
    note.hidden = moment === undefined;
    if (moment) fill(note, { since: timeOfDay(moment.toISOString()) });
  },
  ended: () => { leave("Your session has ended. Please sign in again."); },
};

function enter(begun: Session): void {
  session = begun;
  signIn.hide();
  menu.hidden = false;
  part(menu, "[data-owners]", HTMLElement).hidden = !context.may("owner");
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
  notify("");
  context.staleSince(undefined);
  document.title = "Fairline admin";
  signIn.show(why);
}

/** The screen that an address names. */
function at(address: string): Screen {
  const [path = "", query = ""] = address.replace(/^#\/?/, "").split("?");
  const asked = new URLSearchParams(query);
  const [kind, id, what] = path.split("/");
  if (kind === "sales" && id !== undefined) return what === "report" ? new ReportScreen(context, id) : new SaleScreen(context, id);
  if (kind === "new") return context.may("operator") ? new SaleForm(context, asked.get("copy") ?? undefined) : new AccessDeniedScreen();
  if (kind === "products") return productScreen(id);
  if (kind === "audit") return new AuditScreen(context, asked.get("sale") ?? undefined);
  if (kind === "operators") return new OperatorsScreen(context);
  if (kind === "webhooks") return new WebhooksScreen(context);
  return new SalesScreen(context);
}

function productScreen(id: string | undefined): Screen {
  if (id === undefined) return new ProductsScreen(context);
  if ((id === "new" || id === "import") && !context.may("operator")) return new AccessDeniedScreen();
  return id === "import" ? new ProductImportScreen(context) : new ProductScreen(context, id === "new" ? undefined : id);
}

function show(): void {
  if (!session) return;
  const before = screen;
  before?.leave?.();
  trouble.textContent = "";
  notify("");
  screen = at(location.hash);
  place.replaceChildren(screen.element);
  document.title = `${screen.title} · Fairline admin`;
  for (const link of menu.querySelectorAll("a")) {
    const here = location.hash.startsWith(link.hash) || (link.hash === "#/sales" && location.hash === "");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  // The focus moves to the new screen's heading, for keyboards and screen readers.
  if (before) {
    const heading = screen.element.querySelector("h1");
    heading?.setAttribute("tabindex", "-1");
    heading?.focus();
    scrollTo(0, 0);
  }
}

part(document, "#sign-out", HTMLButtonElement).addEventListener("click", () => void client.signOut().then(() => { leave(); }));
part(document, "#show-account", HTMLButtonElement).addEventListener("click", () => { account.show(); });
addEventListener("hashchange", show);

void client.session().then((answer) => {
  if (answer.kind === "ok") enter(answer.body);
  else leave(answer.kind === "failed" ? failureText(answer) : "");
});
