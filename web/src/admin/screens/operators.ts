/** The operators and their roles, for owners. */

import type { EnrolmentCode, Operator, Role, TotpSecret } from "../../shared/api";
import { field } from "../../shared/form-field";
import { moment } from "../../shared/format";
import { confirmed } from "../components/confirm";
import { cloneRow, cloneTemplate, part } from "../components/element";
import { qrCode } from "../components/qr-code";
import type { ConsoleContext, Screen } from "../screen";

export class OperatorsScreen implements Screen {
  readonly element = cloneTemplate("operators");
  readonly title = "Operators";
  readonly #context: ConsoleContext;
  readonly #secret = part(this.element, ".totp", HTMLElement);
  readonly #code = part(this.element, ".enrolment", HTMLElement);

  constructor(context: ConsoleContext) {
    this.#context = context;
    const form = part(this.element, "form", HTMLFormElement);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#add(form);
    });
    void this.#read();
  }

  async #read(): Promise<void> {
    const listed = this.#context.unwrap(await this.#context.client.operators());
    if (listed) part(this.element, "tbody", HTMLElement).replaceChildren(...listed.operators.map((operator) => this.#row(operator)));
  }

  async #add(form: HTMLFormElement): Promise<void> {
    const [name, role, password] = [field(form, "name"), field(form, "role") as Role, field(form, "password")];
    if (password === "") {
      const invited = this.#context.unwrap(await this.#context.client.inviteOperator(name, role));
      if (!invited) return;
      this.#showCode(name, invited);
    } else {
      const added = this.#context.unwrap(await this.#context.client.addOperator(name, role, password));
      if (!added) return;
      this.#code.hidden = true;
      showSecret(this.#secret, name, added);
    }
    form.reset();
    await this.#read();
  }

  #showCode(name: string, { enrolment_code: code }: EnrolmentCode): void {
    this.#secret.hidden = true;
    this.#code.hidden = false;
    part(this.#code, "[data-who]", HTMLElement).textContent = name;
    part(this.#code, "output", HTMLOutputElement).textContent = code;
    this.#code.focus();
  }

  async #enrolAgain(name: string): Promise<void> {
    const sure = await confirmed({ title: `Reset access for ${name}?`, text: "You receive an enrolment code to pass on. With it, the operator chooses a new password and sets up a new authenticator; all sessions end then.", confirmLabel: "Create enrolment code" });
    if (sure === undefined) return;
    const code = this.#context.unwrap(await this.#context.client.renewEnrolment(name));
    if (code) this.#showCode(name, code);
  }

  #row(operator: Operator): HTMLTableRowElement {
    const { name, role, last_seen_at: lastSeen } = operator;
    const row = cloneRow(this.element, { name, "last-active": lastSeen === null ? "never" : moment(lastSeen) });
    const roles = part(row, "select", HTMLSelectElement);
    roles.setAttribute("aria-label", `Role of ${name}`);
    roles.value = role;
    const actions: Record<string, () => Promise<void>> = {
      "save-role": () => this.#setRole(name, roles.value as Role),
      "reset-access": () => this.#enrolAgain(name),
      "reset-authenticator": () => this.#renew(name),
      "remove": () => this.#remove(name),
    };
    for (const button of row.querySelectorAll("button")) {
      button.setAttribute("aria-label", `${button.textContent}: ${name}`);
      button.addEventListener("click", () => void actions[button.dataset.do ?? ""]?.());
    }
    return row;
  }

  async #setRole(name: string, role: Role): Promise<void> {
    const own = name === this.#context.name ? " This is your own account. You may not be able to undo this change." : "";
    const sure = await confirmed({ title: `Change the role of ${name} to ${role}?`, text: `The change takes effect immediately.${own}`, confirmLabel: "Change role" });
    if (sure !== undefined && this.#context.unwrap(await this.#context.client.changeOperator(name, { role }))) this.#context.notify(`Role of ${name} changed to ${role}.`);
    await this.#read();
  }

  async #renew(name: string): Promise<void> {
    const sure = await confirmed({ title: `Reset the authenticator of ${name}?`, text: "Codes of the current authenticator stop working, and all sessions end.", confirmLabel: "Reset authenticator" });
    if (sure === undefined) return;
    const secret = this.#context.unwrap(await this.#context.client.renewTotp(name));
    this.#code.hidden = true;
    if (secret) showSecret(this.#secret, name, secret);
  }

  async #remove(name: string): Promise<void> {
    const sure = await confirmed({ title: `Remove ${name}?`, text: "All sessions end. Past changes stay in the audit log.", confirmLabel: "Remove" });
    if (sure === undefined) return;
    this.#context.unwrap(await this.#context.client.removeOperator(name));
    await this.#read();
  }
}

/** Shows the secret of an authenticator. It can be shown only once. */
export function showSecret(place: HTMLElement, name: string, { totp_secret: secret, totp_url: url }: TotpSecret): void {
  place.hidden = false;
  part(place, "[data-who]", HTMLElement).textContent = name;
  part(place, "[data-qr]", HTMLElement).replaceChildren(qrCode(url, `QR code of the authenticator secret for ${name}`));
  part(place, "output", HTMLOutputElement).textContent = secret.replace(/(.{4})(?=.)/g, "$1 ");
  part(place, "a", HTMLAnchorElement).href = url;
  place.focus();
}
