/** Puts a view model into the document. Texts go in as text; nothing here decides them. */

import type { ViewModel } from "./view-model";

export class View {
  readonly #root: HTMLElement;
  readonly #texts: NodeListOf<HTMLElement>;
  readonly #shown: NodeListOf<HTMLElement>;
  readonly #phases: NodeListOf<HTMLElement>;
  #phase: string | undefined;
  #painted = "";

  constructor(root: HTMLElement) {
    this.#root = root;
    this.#texts = root.querySelectorAll("[data-text]");
    this.#shown = root.querySelectorAll("[data-show]");
    this.#phases = root.querySelectorAll("[data-phase]");
  }

  show(viewModel: ViewModel): void {
    // Most seconds change nothing.
    const painted = JSON.stringify({ ...viewModel, news: undefined });
    if (painted === this.#painted) return;
    this.#painted = painted;
    for (const element of this.#texts) setText(element, viewModel.texts[element.dataset.text ?? ""]);
    for (const element of this.#shown) {
      const visible = viewModel.shown[element.dataset.show ?? ""];
      if (visible !== undefined) element.hidden = !visible;
    }
    this.#showStock(viewModel);
    this.#root.style.setProperty("--progress", String(viewModel.progress));
    this.#root.style.setProperty("--letters", String(Math.max(4, viewModel.texts.place?.length ?? 0)));
    this.#offerQuantities(viewModel.quantities);
    for (const button of this.#root.querySelectorAll<HTMLButtonElement>("[data-phase] form button")) {
      button.setAttribute("aria-disabled", String(viewModel.sending));
    }
    if (document.title !== viewModel.title) document.title = viewModel.title;
    this.#showPhase(viewModel.phase);
  }

  announce(text: string): void {
    setText(this.#root.querySelector("[data-announcer]"), text);
  }

  #showPhase(phase: string): void {
    if (phase === this.#phase) return;
    const first = this.#phase === undefined;
    this.#root.querySelector("dialog")?.close();
    const focused = document.activeElement;
    // The focus only follows a shopper who is in the ticket already, or nowhere in particular.
    const follow = !first && (focused === document.body || this.#root.querySelector("[data-ticket]")?.contains(focused));
    this.#phase = phase;
    for (const section of this.#phases) section.hidden = section.dataset.phase !== phase;
    this.#root.querySelector<HTMLElement>("[data-ticket]")?.setAttribute("data-ticket", phase);
    if (follow) this.#root.querySelector<HTMLElement>(`[data-phase=${phase}] h2`)?.focus();
  }

  #showStock({ stock, status }: ViewModel): void {
    this.#root.querySelector(".badge")?.setAttribute("data-status", status);
    const meter = this.#root.querySelector<HTMLProgressElement>(".meter");
    if (!stock || !meter) return;
    meter.max = Math.max(1, stock.max);
    meter.value = stock.value;
  }

  #offerQuantities(most: number): void {
    const select = this.#root.querySelector("select");
    if (!select || select.length === most) return;
    select.replaceChildren(...Array.from({ length: most }, (_, index) => new Option(String(index + 1))));
  }
}

function setText(element: Element | null, text: string | undefined): void {
  if (element && text !== undefined && element.textContent !== text) element.textContent = text;
}
