/** The dialog in which operators change their password. */

import { field } from "../../shared/form-field";
import type { Answer } from "../../shared/http";
import type { AdminClient } from "../client";
import { part } from "../components/element";

export class AccountDialog {
  readonly #dialog = part(document, "#account", HTMLDialogElement);

  constructor(client: AdminClient, answered: (answer: Answer<unknown>) => void) {
    const form = part(this.#dialog, "form", HTMLFormElement);
    form.addEventListener("submit", (event) => {
      if ((event.submitter as HTMLButtonElement | null)?.value !== "go") return;
      event.preventDefault();
      void client.changePassword(field(form, "old"), field(form, "new")).then((answer) => {
        form.reset();
        this.#dialog.close();
        answered(answer);
      });
    });
  }

  show(): void {
    this.#dialog.showModal();
  }
}
