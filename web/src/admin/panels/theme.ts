/** The theme of an existing sale. */

import type { AdminSale, Theme } from "../../shared/api";
import { field } from "../../shared/form-field";
import { fill, fillForm, part } from "../components/element";
import { readTheme, themeFields, themeProblem } from "../sale-input";

export class ThemePanel {
  readonly #root: HTMLElement;
  readonly #form: HTMLFormElement;
  #touched = false;

  constructor(root: HTMLElement, change: (theme: Theme) => Promise<boolean>) {
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

  /** Follows the sale until the operator starts to type. */
  show(sale: AdminSale): void {
    if (this.#touched) return;
    fillForm(this.#form, themeFields(sale.theme));
    this.#check();
  }

  #typed(): Theme {
    return readTheme((name) => field(this.#form, name));
  }

  #check(): void {
    fill(this.#root, { contrast: themeProblem(this.#typed()) });
  }
}
