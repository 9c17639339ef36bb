/** The operators and their roles, for owners. */

import type { EnrolmentCode, Operator, Role, TotpSecret } from "../../shared/api";
import { field } from "../../shared/form-field";
import { moment } from "../../shared/format";
import { confirmed } from "../components/confirm";
import { cloneTemplate, element, part, row, table } from "../components/element";
import { qrCode } from "../components/qr-code";
import type { ConsoleContext, Screen } from "../screen";

const ROLES: Record<Role, string> = { viewer: "Viewer: views all sales", operator: "Operator: runs sales", owner: "Owner: also manages operators" };

export class OperatorsScreen implements Screen {
  readonly element = cloneTemplate("operators");
  readonly title = "Operators";
  readonly #context: ConsoleContext;
  readonly #table = table("Operators", ["Name", "Role", "Last active", "Actions"]);
  readonly #secret = part(this.element, ".totp", HTMLElement);
  readonly #code = part(this.element, ".enrolment", HTMLElement);

  constructor(context: ConsoleContext) {
    this.#context = context;
    part(this.element, "[data-list]", HTMLElement).append(this.#table.element);
    const form = part(this.element, "form", HTMLFormElement);
    part(form, "select", HTMLSelectElement).append(...Object.entries(ROLES).map(([role, words]) => new Option(words, role)));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#add(form);
    });
    void this.#read();
  }

  async #read(): Promise<void> {
    const listed = this.#context.unwrap(await this.#context.client.operators());
    if (listed) this.#table.body.replaceChildren(...listed.operators.map((operator) => this.#row(operator)));
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
    const sure = await confirmed({ title: `Reset access for ${name}?`, text: "The operator gets an enrolment code, chooses a new password with it, and sets up a new authenticator. All sessions end then.", go: "Create enrolment code" });
    if (sure === undefined) return;
    const code = this.#context.unwrap(await this.#context.client.renewEnrolment(name));
    if (code) this.#showCode(name, code);
  }

  #row(operator: Operator): HTMLTableRowElement {
    const { name } = operator;
    const roles = element("select", { "aria-label": `Role of ${name}` }, ...Object.keys(ROLES).map((role) => new Option(role, role, false, role === operator.role)));
    const button = (words: string, go: () => Promise<void>): HTMLButtonElement => {
      const made = element("button", { type: "button", class: "plain", "aria-label": `${words}: ${name}` }, words);
      made.addEventListener("click", () => void go());
      return made;
    };
    const role = element("div", { class: "commands" }, roles, button("Save role", () => this.#setRole(name, roles.value as Role)));
    const actions = element("div", { class: "commands" }, button("Reset access", () => this.#enrolAgain(name)), button("Reset authenticator", () => this.#renew(name)), button("Remove", () => this.#remove(name)));
    return row([name, role, operator.last_seen_at === null ? "never" : moment(operator.last_seen_at), actions]);
  }

  async #setRole(name: string, role: Role): Promise<void> {
    const own = name === this.#context.name ? " This is your own account. You may not be able to undo this change." : "";
    const sure = await confirmed({ title: `Change the role of ${name} to ${role}?`, text: `The change takes effect with the next request.${own}`, go: "Change role" });
    if (sure !== undefined && this.#context.unwrap(await this.#context.client.changeOperator(name, { role }))) this.#context.notify(`Role of ${name} changed to ${role}.`);
    await this.#read();
  }

  async #renew(name: string): Promise<void> {
    const sure = await confirmed({ title: `Reset the authenticator of ${name}?`, text: "Codes of the current authenticator stop working, and all sessions end.", go: "Reset authenticator" });
    if (sure === undefined) return;
    const secret = this.#context.unwrap(await this.#context.client.renewTotp(name));
    this.#code.hidden = true;
    if (secret) showSecret(this.#secret, name, secret);
  }

  async #remove(name: string): Promise<void> {
    const sure = await confirmed({ title: `Remove ${name}?`, text: "All sessions end. Past changes stay in the audit log.", go: "Remove" });
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
