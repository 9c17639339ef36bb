/** The admin console: sign in, watch the sales, steer them. */

import type { AdminSale, SaleChange, SaleCommand } from "../api";
import { field } from "../field";
import { inWords, type Answer } from "../http";
import { AdminClient } from "./client";
import { newSale } from "./forms";
import type { LanesListener } from "./lanes";
import { SalePanel } from "./sale-panel";
import { Webhooks } from "./webhooks";

const LOOK_EVERY_MS = 1_000;
const LOOK_AT_WEBHOOKS_EVERY_MS = 5_000;
const TOKEN = "fairline-admin-token";

function find<E extends HTMLElement>(selector: string, kind: new () => E): E {
  const element = document.querySelector(selector);
  if (element instanceof kind) return element;
  throw new Error(`the page has no ${selector}`);
}

const signIn = find("#sign-in", HTMLElement);
const signInForm = find("#sign-in form", HTMLFormElement);
const signInWarning = find("#sign-in .warning", HTMLElement);
const signOut = find("#sign-out", HTMLElement);
const overview = find("#console", HTMLElement);
const trouble = find("#trouble", HTMLElement);
const noSales = find("#no-sales", HTMLElement);
const list = find("#sales", HTMLElement);
const template = find("template[data-sale]", HTMLTemplateElement);
const createDetails = find("details", HTMLDetailsElement);
const createForm = find("#create", HTMLFormElement);
const createLike = find("#create [name=like]", HTMLSelectElement);
const createWarning = find("#create .warning", HTMLElement);
const webhooksDetails = find("#webhooks", HTMLElement);
const webhooksWarning = find("#webhooks .warning", HTMLElement);
const webhooks = new Webhooks(webhooksDetails, {
  async add(url) {
    const answer = await client?.addWebhook(url);
    settleWebhooks(answer);
    return answer?.kind === "ok" ? answer.body.secret : undefined;
  },
  switchOn: (id) => void client?.switchOnWebhook(id).then(settleWebhooks),
  forget: (id) => { confirmFirst(forgetDialog, () => void client?.forgetWebhook(id).then(settleWebhooks)); },
});
const forgetDialog = find("#forget-webhook", HTMLDialogElement);
const closeDialog = find("#close-sale", HTMLDialogElement);
const panels = new Map<string, SalePanel>();
let client: AdminClient | undefined;

function enter(token: string): void {
  client = new AdminClient(token);
  void look(token);
}

function leave(why = ""): void {
  client = undefined;
  sessionStorage.removeItem(TOKEN);
  panels.clear();
  list.replaceChildren();
  overview.hidden = signOut.hidden = true;
  signIn.hidden = false;
  signInWarning.textContent = why;
  signInForm.querySelector("input")?.focus();
}

/** Looks at the sales. The first look with a token also shows whether it is the right one. */
async function look(newToken?: string): Promise<void> {
  const asked = client;
  if (!asked || document.visibilityState !== "visible") return;
  const answer = await asked.sales();
  if (asked !== client) return;
  if (answer.kind === "refused") {
    leave(newToken ? words(answer) : "Please sign in again.");
    return;
  }
  if (newToken !== undefined) {
    sessionStorage.setItem(TOKEN, newToken);
    signIn.hidden = true;
    overview.hidden = signOut.hidden = false;
    void lookAtWebhooks();
  }
  trouble.textContent = answer.kind === "ok" ? "" : words(answer);
  if (answer.kind === "ok") show(answer.body.sales);
}

function show(sales: AdminSale[]): void {
  noSales.hidden = sales.length > 0;
  offerLessons(sales);
  sales.forEach((sale, position) => {
    const panel = panels.get(sale.id);
    if (panel) {
      panel.show(sale);
    } else {
      const added = new SalePanel(template, sale, { command, change, lanes });
      panels.set(sale.id, added);
      list.insertBefore(added.element, list.children[position] ?? null);
    }
  });
}

/** Sales that have let people in can be learnt from. */
function offerLessons(sales: AdminSale[]): void {
  const offered = new Set([...createLike.options].map((option) => option.value));
  for (const sale of sales.filter(({ id, admitted }) => admitted > 0 && !offered.has(id))) createLike.add(new Option(sale.name, sale.id));
}

function words(answer: Exclude<Answer<unknown>, { kind: "ok" }>): string {
  if (answer.kind === "refused") return inWords(answer.problem);
  return "The controller cannot be reached, or is busy. What you see may be old.";
}

async function settle(panel: SalePanel, request: Promise<Answer<AdminSale>> | undefined): Promise<void> {
  const answer = await request;
  if (!answer) return;
  panel.complain(answer.kind === "ok" ? "" : words(answer));
  if (answer.kind === "ok") panel.show(answer.body);
}

function command(panel: SalePanel, command: SaleCommand): void {
  const obey = (): void => void settle(panel, client?.command(panel.id, command));
  if (command === "close") confirmFirst(closeDialog, obey);
  else obey();
}

function change(panel: SalePanel, change: SaleChange): void {
  void settle(panel, client?.change(panel.id, change));
}

function lanes(panel: SalePanel): LanesListener {
  return {
    add: (name, share) => void settle(panel, client?.addLane(panel.id, name, share)),
    share: (name, share) => void settle(panel, client?.shareLane(panel.id, name, share)),
    async invite(name, count) {
      const answer = await client?.invite(panel.id, name, count);
      if (!answer) return undefined;
      panel.complain(answer.kind === "ok" ? "" : words(answer));
      return answer.kind === "ok" ? answer.body.codes : undefined;
    },
  };
}

/** Asks before what can't be undone. */
function confirmFirst(dialog: HTMLDialogElement, go: () => void): void {
  dialog.returnValue = "keep";
  dialog.showModal();
  dialog.addEventListener("close", () => { if (dialog.returnValue === "go") go(); }, { once: true });
}

function settleWebhooks(answer: Answer<unknown> | undefined): void {
  if (!answer) return;
  webhooksWarning.textContent = answer.kind === "ok" ? "" : words(answer);
  void lookAtWebhooks();
}

async function lookAtWebhooks(): Promise<void> {
  if (document.visibilityState !== "visible") return;
  const answer = await client?.webhooks();
  if (answer?.kind === "ok") webhooks.show(answer.body.webhooks);
}

async function create(): Promise<void> {
  const answer = await client?.create(newSale((name) => field(createForm, name)));
  if (!answer) return;
  createWarning.textContent = answer.kind === "ok" ? "" : words(answer);
  if (answer.kind !== "ok") return;
  createForm.reset();
  createDetails.open = false;
  void look();
}

signInForm.addEventListener("submit", (event) => {
  event.preventDefault();
  enter(field(signInForm, "token"));
  signInForm.reset();
});
createForm.addEventListener("submit", (event) => {
  event.preventDefault();
  void create();
});
signOut.addEventListener("click", () => { leave(); });
document.addEventListener("visibilitychange", () => void look());
setInterval(() => void look(), LOOK_EVERY_MS);
setInterval(() => void lookAtWebhooks(), LOOK_AT_WEBHOOKS_EVERY_MS);

const remembered = sessionStorage.getItem(TOKEN);
if (remembered === null) leave();
else enter(remembered);
