/** What the pages of a sale that exists say and look like: changed from its screen. */

import type { AdminSale, Look } from "../api";
import { field } from "../field";
import { fill, fillForm, part } from "./element";
import { lookComplaint, look, lookFields } from "./forms";

export class LookPanel {
  readonly #root: HTMLElement;
  readonly #form: HTMLFormElement;
  #touched = false;

  constructor(root: HTMLElement, change: (look: Look) => Promise<boolean>) {
    this.#root = root;
    this.#form = part(root, "form", HTMLFormElement);
    this.#form.addEventListener("input", () => {
      this.#touched = true;
      this.#check();
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void change(this.#typed()).then((done) => { if (done) this.#touched = false; });
    });
  }

  /** It follows the sale until the operator starts to type. */
  show(sale: AdminSale): void {
    if (this.#touched) return;
    fillForm(this.#form, lookFields(sale.look));
    this.#check();
  }

  #typed(): Look {
    return look((name) => field(this.#form, name));
  }

  #check(): void {
    fill(this.#root, { contrast: lookComplaint(this.#typed()) });
  }
}
