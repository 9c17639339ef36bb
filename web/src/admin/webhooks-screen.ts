/** The screen of webhooks: what is told of them, looked at again every few seconds. */

import type { Answer } from "../http";
import { confirmed } from "./confirm";
import { copyOf, part } from "./element";
import type { Desk, Screen } from "./screen";
import { Webhooks } from "./webhooks";

const LOOK_EVERY_MS = 5_000;

export class WebhooksScreen implements Screen {
  readonly element = copyOf("webhooks");
  readonly title = "Webhooks";
  readonly #desk: Desk;
  readonly #webhooks: Webhooks;
  readonly #timer: number;

  constructor(desk: Desk) {
    this.#desk = desk;
    const { client } = desk;
    this.#webhooks = new Webhooks(this.element, {
      add: async (url) => {
        const answer = await client.addWebhook(url);
        this.#settle(answer);
        return answer.kind === "ok" ? answer.body.secret : undefined;
      },
      switchOn: (id) => void client.switchOnWebhook(id).then((answer) => { this.#settle(answer); }),
      forget: (id) => void this.#forget(id),
    });
    for (const control of this.element.querySelectorAll<HTMLElement>("[data-owners]")) control.hidden = !desk.may("owner");
    this.element.classList.toggle("read-only", !desk.may("owner"));
    part(this.element, "form", HTMLFormElement).hidden = !desk.may("owner");
    void this.#look();
    this.#timer = window.setInterval(() => void this.#look(), LOOK_EVERY_MS);
  }

  leave(): void {
    clearInterval(this.#timer);
  }

  #settle(answer: Answer<unknown>): void {
    this.#desk.heard(answer);
    void this.#look();
  }

  async #forget(id: string): Promise<void> {
    const sure = await confirmed({ title: "Forget this webhook?", text: "It is told nothing more, and what waits for it is forgotten, too.", go: "Forget it" });
    if (sure !== undefined) this.#settle(await this.#desk.client.forgetWebhook(id));
  }

  async #look(): Promise<void> {
    if (document.visibilityState !== "visible") return;
    const answer = await this.#desk.client.webhooks();
    if (answer.kind === "ok") this.#webhooks.show(answer.body.webhooks);
  }
}
