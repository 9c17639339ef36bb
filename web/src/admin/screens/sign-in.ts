/** Sign-in, enrolment, and the first operator of a new installation. */

import type { Session } from "../../shared/api";
import { field } from "../../shared/form-field";
import type { Answer } from "../../shared/http";
import type { AdminClient } from "../client";
import { part } from "../components/element";
import { showSecret } from "./operators";

export class SignIn {
  readonly #client: AdminClient;
  readonly #root = part(document, "#sign-in", HTMLElement);
  readonly #form = part(this.#root, "form[data-sign-in]", HTMLFormElement);
  readonly #first = part(this.#root, "form[data-first]", HTMLFormElement);
  readonly #enrolling = part(this.#root, "form[data-enrol]", HTMLFormElement);
  readonly #warning = part(this.#root, "[role=alert]", HTMLElement);
  readonly #failureText: (answer: Exclude<Answer<unknown>, { kind: "ok" }>) => string;
  readonly #enter: (session: Session) => void;

  constructor(client: AdminClient, failureText: (answer: Exclude<Answer<unknown>, { kind: "ok" }>) => string, enter: (session: Session) => void) {
    this.#client = client;
    this.#failureText = failureText;
    this.#enter = enter;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#signIn();
    });
    this.#first.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#addFirst();
    });
    this.#enrolling.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#enrol();
    });
  }

  show(why: string): void {
    this.#root.hidden = false;
    this.#warning.textContent = why;
    part(this.#form, "[name=name]", HTMLInputElement).focus();
  }

  hide(): void {
    this.#root.hidden = true;
    this.#form.reset();
    this.#first.reset();
    this.#enrolling.reset();
    part(this.#root, ".totp", HTMLElement).hidden = true;
    part(this.#root, "[data-qr]", HTMLElement).replaceChildren();
    part(this.#root, "output", HTMLOutputElement).textContent = "";
  }

  async #signIn(): Promise<void> {
    const answer = await this.#client.signIn(field(this.#form, "name").trim(), field(this.#form, "password"), field(this.#form, "code"));
    if (answer.kind === "ok") {
      this.#enter(answer.body);
      return;
    }
    const waitS = answer.kind === "failed" && answer.atLeastMs !== undefined ? Math.ceil(answer.atLeastMs / 1000) : undefined;
    this.#warning.textContent = waitS === undefined ? this.#failureText(answer) : `Too many attempts, or the controller is busy. Try again in ${waitS} seconds.`;
    const code = part(this.#form, "[name=code]", HTMLInputElement);
    code.value = "";
    code.focus();
  }

  async #enrol(): Promise<void> {
    const answer = await this.#client.enrol(field(this.#enrolling, "code").trim(), field(this.#enrolling, "password"));
    if (answer.kind !== "ok") {
      this.#warning.textContent = this.#failureText(answer);
      return;
    }
    this.#warning.textContent = "";
    this.#enrolling.reset();
    part(this.#form, "[name=name]", HTMLInputElement).value = answer.body.name;
    showSecret(part(this.#root, ".totp", HTMLElement), answer.body.name, answer.body);
  }

  async #addFirst(): Promise<void> {
    const name = field(this.#first, "name").trim();
    const answer = await this.#client.addFirstOperator(field(this.#first, "token"), name, field(this.#first, "password"));
    if (answer.kind !== "ok") {
      this.#warning.textContent = this.#failureText(answer);
      return;
    }
    this.#warning.textContent = "";
    this.#first.reset();
    part(this.#form, "[name=name]", HTMLInputElement).value = name;
    showSecret(part(this.#root, ".totp", HTMLElement), name, answer.body);
  }
}
