/** Rehearsals of a sale: simulated shoppers buy from a copy of it. */

import type { AdminSale, Rehearsal, RehearsalPlan } from "../../shared/api";
import { field } from "../../shared/form-field";
import { count, plural } from "../../shared/format";
import { confirmed } from "../components/confirm";
import { fill, part } from "../components/element";
import type { ConsoleContext } from "../screen";

const STATES: Record<Rehearsal["state"], string> = {
  running: "Rehearsal running.",
  stopping: "Rehearsal stopping.",
  passed: "Passed: every promise was kept.",
  failed: "Failed.",
  stopped: "Stopped.",
};

export class RehearsalPanel {
  readonly #root: HTMLElement;
  readonly #context: ConsoleContext;
  readonly #sale: string;
  #shown: Rehearsal | undefined;
  #isAvailable = false;
  #isCopy = true;

  constructor(root: HTMLElement, context: ConsoleContext, sale: string) {
    this.#root = root;
    this.#context = context;
    this.#sale = sale;
    const form = part(root, "form", HTMLFormElement);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#begin({ shoppers: Number(field(form, "shoppers")), arrival_s: Number(field(form, "arrival_s")), abandon: Number(field(form, "abandon")) / 100 });
    });
    part(root, "[data-stop]", HTMLButtonElement).addEventListener("click", () => void this.#stop());
    this.#offer();
  }

  /** Sets whether the controller can run rehearsals. */
  setAvailable(isAvailable: boolean): void {
    this.#isAvailable = isAvailable;
    this.#offer();
  }

  /** Copies are not rehearsed again. */
  showSale({ rehearsal_of }: AdminSale): void {
    this.#isCopy = rehearsal_of !== null;
    this.#offer();
  }

  /** Shows the form where a rehearsal can start now, and the panel where it has content. */
  #offer(): void {
    const mayBegin = this.#isAvailable && !this.#isCopy && this.#context.may("operator") && !this.#runs();
    part(this.#root, "form", HTMLFormElement).hidden = !mayBegin;
    this.#root.hidden = !mayBegin && !this.#shown;
  }

  async #begin(plan: RehearsalPlan): Promise<void> {
    const sure = await confirmed({
      title: `Start a rehearsal with ${plural(plan.shoppers, "simulated shopper", "simulated shoppers")}?`,
      text: "The shoppers join a copy of this sale, which opens immediately and stays in the list of sales. This sale and its stock are not affected.",
      confirmLabel: "Start rehearsal",
    });
    if (sure === undefined) return;
    const begun = this.#context.unwrap(await this.#context.client.rehearse(this.#sale, plan));
    if (begun) this.show(begun);
  }

  async #stop(): Promise<void> {
    if (!this.#shown) return;
    const { id } = this.#shown;
    const sure = await confirmed({ title: "Stop the rehearsal?", text: "The rehearsal ends without a result, and the copy of the sale is closed.", confirmLabel: "Stop rehearsal" });
    if (sure !== undefined) this.#context.unwrap(await this.#context.client.stopRehearsal(id));
  }

  show(rehearsal: Rehearsal): void {
    const announced = this.#shown?.id === rehearsal.id && this.#shown.state !== rehearsal.state;
    this.#shown = rehearsal;
    this.#offer();
    part(this.#root, "[data-rehearsal]", HTMLElement).hidden = false;
    fill(this.#root, { verdict: `${STATES[rehearsal.state]} ${plural(rehearsal.shoppers, "shopper", "shoppers")}.`, progress: rehearsal.progress ?? "" });
    part(this.#root, "[data-verdict]", HTMLElement).dataset.state = rehearsal.state;
    part(this.#root, "[data-stop]", HTMLButtonElement).hidden = !this.#runs() || !this.#context.may("operator");
    part(this.#root, "[data-copy]", HTMLAnchorElement).href = `#/sales/${rehearsal.sale_id}`;
    part(this.#root, "[data-copy-report]", HTMLAnchorElement).href = `#/sales/${rehearsal.sale_id}/report`;
    const report = rehearsal.report;
    for (const counter of this.#root.querySelectorAll<HTMLElement>("[data-reported]")) {
      const value = report?.[counter.dataset.reported ?? ""];
      counter.hidden = typeof value !== "number";
      if (typeof value === "number") part(counter, "dd", HTMLElement).textContent = count(value);
    }
    if (announced) this.#context.notify(STATES[rehearsal.state]);
  }

  #runs(): boolean {
    return this.#shown?.state === "running" || this.#shown?.state === "stopping";
  }
}
