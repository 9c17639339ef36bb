/** The page's forms and buttons, by their `data-do`. */

import { field } from "../shared/form-field";
import type { Entry } from "./connection";
import type { Page } from "./page";
import type { Purchase } from "./purchase";
import type { Turn } from "./turn";

export interface Controlled {
  page: Page;
  turn: Turn;
  purchase: Purchase;
  enter: (entry: Entry) => void;
  leave: () => void;
}

export function listenToControls(root: HTMLElement, controlled: Controlled): void {
  listenToForms(root, controlled);
  listenToButtons(root, controlled);
  const dialog = root.querySelector("dialog");
  dialog?.addEventListener("close", () => {
    if (dialog.returnValue !== "leave") return;
    const { phase } = controlled.page;
    if (phase.at === "checkout") void controlled.purchase.cancel(phase.order);
    else controlled.leave();
  });
  offerNotifications(root);
}

function listenToForms(root: HTMLElement, { purchase, enter }: Controlled): void {
  const { ownCheckout = "" } = root.dataset;
  const forms: Record<string, (form: HTMLFormElement) => void> = {
    join: () => { enter("join"); },
    reserve: (form) => void purchase.reserve(Number(field(form, "quantity")), ownCheckout),
    pay: (form) => void purchase.pay(field(form, "payment_method")),
  };
  root.addEventListener("submit", (event) => {
    const form = event.target as HTMLFormElement;
    const submit = forms[form.dataset.do ?? ""];
    if (!submit) return;
    event.preventDefault();
    submit(form);
  });
}

function listenToButtons(root: HTMLElement, { page, turn, purchase, enter }: Controlled): void {
  const buttons: Record<string, () => void> = {
    notify: () => void permitNotifications(root, page),
    "join-again": () => { enter("rejoin"); },
    withdraw: () => void purchase.withdraw(),
    "ask-to-leave"() {
      const dialog = root.querySelector("dialog");
      if (!dialog) return;
      dialog.returnValue = "stay";
      dialog.showModal();
    },
  };
  root.addEventListener("click", (event) => {
    turn.prepare();
    const button = (event.target as Element).closest<HTMLElement>("button[data-do]");
    buttons[button?.dataset.do ?? ""]?.();
  });
}

/** Shows the button that requests the permission, as long as the shopper has not decided. */
function offerNotifications(root: HTMLElement): void {
  for (const button of root.querySelectorAll<HTMLElement>("[data-notify]")) button.hidden = !("Notification" in window) || Notification.permission !== "default";
}

async function permitNotifications(root: HTMLElement, page: Page): Promise<void> {
  const answer = await Notification.requestPermission();
  page.announce(answer === "granted" ? "You will be notified when it’s your turn." : "Your browser blocks notifications from this site. Allow them in its settings, or keep this page open.");
  offerNotifications(root);
}
