/** The audit log. */

import type { AuditEntry } from "../../shared/api";
import { moment } from "../../shared/format";
import { cloneTemplate, element, part, row, table } from "../components/element";
import type { ConsoleContext, Screen } from "../screen";

/** `rate_cap_per_s` as one reads it. */
export function spaced(name: string): string {
  return name.replaceAll("_", " ");
}

/** What an entry says that differs, field by field. Pure. */
export function changes({ before, after }: Pick<AuditEntry, "before" | "after">): string[] {
  const shown = (value: unknown): string => (value === null || value === undefined ? "none" : typeof value === "string" ? `“${value}”` : JSON.stringify(value));
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  return names.map((name) => (before && name in before ? `${spaced(name)}: ${shown(before[name])} → ${shown(after?.[name])}` : `${spaced(name)}: ${shown(after?.[name])}`));
}

export class AuditScreen implements Screen {
  readonly element = cloneTemplate("audit");
  readonly title = "Audit log";
  readonly #context: ConsoleContext;
  readonly #table = table("Audit log", ["Time", "Operator", "Action", "Subject", "Changes", "Reason"]);
  readonly #more = part(this.element, "[data-more]", HTMLButtonElement);
  readonly #sale: string | undefined;
  #next: number | undefined;

  /** The log of one sale, or of all. */
  constructor(context: ConsoleContext, sale: string | undefined) {
    this.#context = context;
    this.#sale = sale;
    if (sale !== undefined) {
      part(this.element, "h1", HTMLElement).textContent = "Audit log of this sale";
      part(this.element, "[data-csv]", HTMLAnchorElement).href += `?sale=${encodeURIComponent(sale)}`;
      part(this.element, "[data-all]", HTMLElement).hidden = false;
    }
    part(this.element, "[data-list]", HTMLElement).append(this.#table.element);
    this.#more.addEventListener("click", () => void this.#read());
    void this.#read();
  }

  async #read(): Promise<void> {
    const page = this.#context.unwrap(await this.#context.client.audit(this.#sale, this.#next));
    if (!page) return;
    this.#next = page.next ?? undefined;
    this.#more.hidden = page.next === null;
    this.#table.body.append(...page.entries.map((entry) => this.#row(entry)));
  }

  #row(entry: AuditEntry): HTMLTableRowElement {
    const what = entry.sale === null ? entry.subject : element("a", { href: `#/sales/${entry.sale}` }, entry.subject);
    const list = element("ul", {}, ...changes(entry).map((change) => element("li", {}, change)));
    return row([moment(entry.at), entry.who, spaced(entry.action), what, list, entry.reason ?? ""]);
  }
}
