/** Rehearsals of a sale: a crowd of simulated shoppers is sent to a copy of it. */

import type { Rehearsal } from "../api";
import { field } from "../field";
import { count, plural } from "../words";
import { element, fill, part } from "./element";
import type { Desk } from "./screen";

const STATES: Record<Rehearsal["state"], string> = {
  running: "The rehearsal runs.",
  stopping: "The crowd goes home.",
  passed: "Passed: every promise was kept.",
  failed: "Failed.",
  stopped: "Stopped.",
};

/** What of the simulator's report is told here: by its own names, and in words. */
const TOLD: [name: string, words: string][] = [
  ["joined", "joined"], ["admitted", "were let in"], ["paid", "paid"], ["sold_out", "heard that it was sold out"], ["left", "left"],
  ["oversold", "units sold twice"], ["double_used", "tokens used twice"], ["inversions", "let in out of order"], ["places_lost", "places lost"],
  ["unresolved", "never heard how it ended"],
];

export class RehearsalPanel {
  readonly #root: HTMLElement;
  readonly #desk: Desk;
  #shown: Rehearsal | undefined;

  constructor(root: HTMLElement, desk: Desk, sale: string) {
    this.#root = root;
    this.#desk = desk;
    const form = part(root, "form", HTMLFormElement);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const plan = { shoppers: Number(field(form, "shoppers")), arrival_s: Number(field(form, "arrival_s")), abandon: Number(field(form, "abandon")) / 100 };
      void desk.client.rehearse(sale, plan).then((answer) => {
        const begun = desk.heard(answer);
        if (begun) this.show(begun);
      });
    });
    part(root, "[data-stop]", HTMLButtonElement).addEventListener("click", () => {
      if (this.#shown) void desk.client.stopRehearsal(this.#shown.id).then((answer) => { desk.heard(answer); });
    });
  }

  /** A copy is not rehearsed again. */
  allow(is: boolean): void {
    part(this.#root, "form", HTMLFormElement).hidden = !is || !this.#desk.may("operator") || this.#runs();
  }

  show(rehearsal: Rehearsal): void {
    const announced = this.#shown?.id === rehearsal.id && this.#shown.state !== rehearsal.state;
    this.#shown = rehearsal;
    part(this.#root, "[data-rehearsal]", HTMLElement).hidden = false;
    fill(this.#root, { verdict: `${STATES[rehearsal.state]} ${plural(rehearsal.shoppers, "shopper", "shoppers")}.`, progress: rehearsal.progress ?? "" });
    part(this.#root, "[data-verdict]", HTMLElement).dataset.state = rehearsal.state;
    part(this.#root, "[data-stop]", HTMLButtonElement).hidden = !this.#runs() || !this.#desk.may("operator");
    part(this.#root, "[data-copy]", HTMLAnchorElement).href = `#/sales/${rehearsal.sale_id}`;
    part(this.#root, "[data-copy-report]", HTMLAnchorElement).href = `#/sales/${rehearsal.sale_id}/report`;
    const report = rehearsal.report;
    const told = report ? TOLD.filter(([name]) => typeof report[name] === "number") : [];
    part(this.#root, "dl", HTMLElement).replaceChildren(
      ...told.map(([name, words]) => element("div", {}, element("dt", {}, words), element("dd", {}, count(Number(report?.[name]))))),
    );
    if (announced) this.#desk.say(STATES[rehearsal.state]);
  }

  #runs(): boolean {
    return this.#shown?.state === "running" || this.#shown?.state === "stopping";
  }
}
