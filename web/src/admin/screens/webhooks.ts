/** The webhooks: their endpoints and deliveries, refreshed every few seconds. */

import type { Webhook } from "../../shared/api";
import { field } from "../../shared/form-field";
import { count, moment } from "../../shared/format";
import type { Answer } from "../../shared/http";
import { confirmed } from "../components/confirm";
import { cloneRow, cloneTemplate, fill, part } from "../components/element";
import type { ConsoleContext, Screen } from "../screen";

const REFRESH_EVERY_MS = 5_000;
const STATUS: Record<Webhook["status"], string> = { enabled: "Enabled", failing: "Failing", disabled: "Disabled" };

/** The server counts up to this many deliveries in each state. */
const COUNTED_MAX = 500;

function counted(deliveries: number): string {
  return count(deliveries) + (deliveries < COUNTED_MAX ? "" : "+");
}

export class WebhooksScreen implements Screen {
  readonly element = cloneTemplate("webhooks");
  readonly title = "Webhooks";
  readonly #context: ConsoleContext;
  readonly #timer: number;
  #shown = "";

  constructor(context: ConsoleContext) {
    this.#context = context;
    const form = part(this.element, "form", HTMLFormElement);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#add(form);
    });
    for (const control of this.element.querySelectorAll<HTMLElement>("[data-owners]")) control.hidden = !context.may("owner");
    this.element.classList.toggle("read-only", !context.may("owner"));
    form.hidden = !context.may("owner");
    void this.#refresh();
    this.#timer = window.setInterval(() => void this.#refresh(), REFRESH_EVERY_MS);
  }

  leave(): void {
    clearInterval(this.#timer);
  }

  async #refresh(): Promise<void> {
    if (document.visibilityState !== "visible") return;
    const answer = await this.#context.client.webhooks();
    if (answer.kind === "ok") this.#show(answer.body.webhooks);
  }

  #show(webhooks: Webhook[]): void {
    const trouble = webhooks.filter(({ status }) => status !== "enabled").length;
    fill(this.element, { trouble: trouble === 0 ? "" : `${count(trouble)} of ${count(webhooks.length)} failing or disabled` });
    part(this.element, ".wide-table", HTMLElement).hidden = webhooks.length === 0;
    // Unchanged rows stay in the document, so that a focused button keeps the focus.
    const now = JSON.stringify(webhooks);
    if (now === this.#shown) return;
    this.#shown = now;
    part(this.element, "tbody", HTMLElement).replaceChildren(...webhooks.map((webhook) => this.#row(webhook)));
  }

  #row(webhook: Webhook): HTMLTableRowElement {
    const since = webhook.failing_since === null ? "" : ` since ${moment(webhook.failing_since)}`;
    const why = webhook.last_error === null ? "" : `: ${webhook.last_error}`;
    const row = cloneRow(this.element, {
      url: webhook.url,
      status: STATUS[webhook.status] + since + why,
      pending: counted(webhook.waiting),
      delivered: counted(webhook.delivered),
      failed: counted(webhook.given_up),
    });
    for (const button of row.querySelectorAll("button")) {
      const enables = button.dataset.webhook === "enable";
      button.hidden = enables && webhook.status === "enabled";
      button.setAttribute("aria-label", `${button.textContent} ${webhook.url}`);
      button.addEventListener("click", () => {
        void (enables ? this.#enable(webhook.id) : this.#forget(webhook.id));
      });
    }
    return row;
  }

  /** The secret can be shown only once: it is not readable afterwards. */
  async #add(form: HTMLFormElement): Promise<void> {
    const added = this.#settle(await this.#context.client.addWebhook(field(form, "url")));
    if (!added) return;
    form.reset();
    const shown = part(this.element, "output", HTMLElement);
    shown.textContent = added.secret;
    shown.closest("p")?.removeAttribute("hidden");
  }

  async #enable(id: string): Promise<void> {
    this.#settle(await this.#context.client.enableWebhook(id));
  }

  async #forget(id: string): Promise<void> {
    const sure = await confirmed({ title: "Delete this webhook?", text: "It receives no more events, and pending events are discarded.", confirmLabel: "Delete webhook" });
    if (sure !== undefined) this.#settle(await this.#context.client.forgetWebhook(id));
  }

  #settle<T>(answer: Answer<T>): T | undefined {
    const body = this.#context.unwrap(answer);
    void this.#refresh();
    return body;
  }
}
