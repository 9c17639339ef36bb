/** Rehearsals of a sale: a crowd of simulated shoppers is sent to a copy of it. */

import type { AdminSale, Rehearsal, RehearsalPlan } from "../../shared/api";
import { field } from "../../shared/form-field";
import { count, plural } from "../../shared/format";
import { confirmed } from "../components/confirm";
import { element, fill, part } from "../components/element";
import type { ConsoleContext } from "../screen";

const STATES: Record<Rehearsal["state"], string> = {
  running: "Rehearsal running.",
  stopping: "Rehearsal stopping.",
  passed: "Passed: all guarantees held.",
  failed: "Failed.",
  stopped: "Stopped.",
};

/** Fields of the simulator's report that the panel shows, with their labels. */
const REPORTED: [name: string, words: string][] = [
  ["joined", "Joined"], ["admitted", "Admitted shoppers"], ["paid", "Paid"], ["sold_out", "Turned away: sold out"], ["left", "Left the line"],
  ["oversold", "Oversold units"], ["double_used", "Tokens used twice"], ["inversions", "Admitted out of order"], ["places_lost", "Places lost"],
  ["unresolved", "Without an outcome"],
];

export class RehearsalPanel {
  readonly #root: HTMLElement;
  readonly #context: ConsoleContext;
  readonly #sale: string;
  #shown: Rehearsal | undefined;
  #stageIsSet = false;
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

  /** Whether the controller can send a crowd. */
  stage(isSet: boolean): void {
    this.#stageIsSet = isSet;
    this.#offer();
  }

  /** A copy is not rehearsed again. */
  of({ rehearsal_of }: AdminSale): void {
    this.#isCopy = rehearsal_of !== null;
    this.#offer();
  }

  /** The form, where a crowd can be sent now; the panel, where there is anything on it. */
  #offer(): void {
    const mayBegin = this.#stageIsSet && !this.#isCopy && this.#context.may("operator") && !this.#runs();
    part(this.#root, "form", HTMLFormElement).hidden = !mayBegin;
    this.#root.hidden = !mayBegin && !this.#shown;
  }

  async #begin(plan: RehearsalPlan): Promise<void> {
    const sure = await confirmed({
      title: `Start a rehearsal with ${plural(plan.shoppers, "simulated shopper", "simulated shoppers")}?`,
      text: "The shoppers join a copy of this sale, which opens immediately and stays in the list of sales. This sale and its stock are not affected.",
      go: "Start rehearsal",
    });
    if (sure === undefined) return;
    const begun = this.#context.unwrap(await this.#context.client.rehearse(this.#sale, plan));
    if (begun) this.show(begun);
  }

  async #stop(): Promise<void> {
    if (!this.#shown) return;
    const { id } = this.#shown;
    const sure = await confirmed({ title: "Stop the rehearsal?", text: "The rehearsal ends without a result, and the copy of the sale is closed.", go: "Stop rehearsal" });
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
    const reported = report ? REPORTED.filter(([name]) => typeof report[name] === "number") : [];
    part(this.#root, "dl", HTMLElement).replaceChildren(
      ...reported.map(([name, words]) => element("div", {}, element("dt", {}, words), element("dd", {}, count(Number(report?.[name]))))),
    );
    if (announced) this.#context.notify(STATES[rehearsal.state]);
  }

  #runs(): boolean {
    return this.#shown?.state === "running" || this.#shown?.state === "stopping";
  }
}
