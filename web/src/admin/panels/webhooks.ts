/** The list of webhooks: their endpoints and deliveries. */

import type { Webhook } from "../../shared/api";
import { field } from "../../shared/form-field";
import { count, moment } from "../../shared/format";
import { cloneRow } from "../components/element";

export interface WebhooksListener {
  /** The secret of a new webhook; undefined after a failure, which is already on screen. */
  add(url: string): Promise<string | undefined>;
  enable(id: string): void;
  forget(id: string): void;
}

const STATUS: Record<Webhook["status"], string> = { enabled: "Enabled", failing: "Failing", disabled: "Disabled" };

export class Webhooks {
  readonly #element: HTMLElement;
  readonly #listener: WebhooksListener;
  #shown = "";

  constructor(element: HTMLElement, listener: WebhooksListener) {
    this.#element = element;
    this.#listener = listener;
    const form = element.querySelector("form");
    form?.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#add(form);
    });
  }

  show(webhooks: Webhook[]): void {
    const trouble = webhooks.filter(({ status }) => status !== "enabled").length;
    this.#text("[data-text=trouble]", trouble === 0 ? "" : `${count(trouble)} of ${count(webhooks.length)} failing or disabled`);
    const table = this.#element.querySelector<HTMLElement>(".wide-table");
    if (table) table.hidden = webhooks.length === 0;
    // Unchanged rows stay in the document, so that a focused button keeps the focus.
    const now = JSON.stringify(webhooks);
    if (now === this.#shown) return;
    this.#shown = now;
    this.#element.querySelector("tbody")?.replaceChildren(...webhooks.map((webhook) => this.#row(webhook)));
  }

  #row(webhook: Webhook): HTMLTableRowElement {
    const since = webhook.failing_since === null ? "" : ` since ${moment(webhook.failing_since)}`;
    const why = webhook.last_error === null ? "" : `: ${webhook.last_error}`;
    const row = cloneRow(this.#element, {
      url: webhook.url,
      status: STATUS[webhook.status] + since + why,
      pending: count(webhook.waiting),
      delivered: count(webhook.delivered),
      failed: count(webhook.given_up),
    });
    for (const button of row.querySelectorAll("button")) {
      const enables = button.dataset.webhook === "enable";
      button.hidden = enables && webhook.status === "enabled";
      button.setAttribute("aria-label", `${button.textContent} ${webhook.url}`);
      button.addEventListener("click", () => {
        if (enables) this.#listener.enable(webhook.id);
        else this.#listener.forget(webhook.id);
      });
    }
    return row;
  }

  /** The secret can be shown only once: it is not readable afterwards. */
  async #add(form: HTMLFormElement): Promise<void> {
    const secret = await this.#listener.add(field(form, "url"));
    const shown = this.#element.querySelector("output");
    if (secret === undefined || !shown) return;
    form.reset();
    shown.textContent = secret;
    shown.closest("p")?.removeAttribute("hidden");
  }

  #text(selector: string, text: string): void {
    const element = this.#element.querySelector(selector);
    if (element) element.textContent = text;
  }
}
