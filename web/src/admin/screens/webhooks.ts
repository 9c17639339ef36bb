/** The webhooks, refreshed every few seconds. */

import type { Answer } from "../../shared/http";
import { confirmed } from "../components/confirm";
import { cloneTemplate, part } from "../components/element";
import type { ConsoleContext, Screen } from "../screen";
import { Webhooks } from "../panels/webhooks";

const REFRESH_EVERY_MS = 5_000;

export class WebhooksScreen implements Screen {
  readonly element = cloneTemplate("webhooks");
  readonly title = "Webhooks";
  readonly #context: ConsoleContext;
  readonly #webhooks: Webhooks;
  readonly #timer: number;

  constructor(context: ConsoleContext) {
    this.#context = context;
    const { client } = context;
    this.#webhooks = new Webhooks(this.element, {
      add: async (url) => {
        const answer = await client.addWebhook(url);
        this.#settle(answer);
        return answer.kind === "ok" ? answer.body.secret : undefined;
      },
      enable: (id) => void client.enableWebhook(id).then((answer) => { this.#settle(answer); }),
      forget: (id) => void this.#forget(id),
    });
    for (const control of this.element.querySelectorAll<HTMLElement>("[data-owners]")) control.hidden = !context.may("owner");
    this.element.classList.toggle("read-only", !context.may("owner"));
    part(this.element, "form", HTMLFormElement).hidden = !context.may("owner");
    void this.#refresh();
    this.#timer = window.setInterval(() => void this.#refresh(), REFRESH_EVERY_MS);
  }

  leave(): void {
    clearInterval(this.#timer);
  }

  #settle(answer: Answer<unknown>): void {
    this.#context.unwrap(answer);
    void this.#refresh();
  }

  async #forget(id: string): Promise<void> {
    const sure = await confirmed({ title: "Delete this webhook?", text: "It receives no more events, and pending events are discarded.", confirmLabel: "Delete webhook" });
    if (sure !== undefined) this.#settle(await this.#context.client.forgetWebhook(id));
  }

  async #refresh(): Promise<void> {
    if (document.visibilityState !== "visible") return;
    const answer = await this.#context.client.webhooks();
    if (answer.kind === "ok") this.#webhooks.show(answer.body.webhooks);
  }
}
