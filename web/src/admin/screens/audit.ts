/** The audit log. */

import type { AuditEntry } from "../../shared/api";
import { moment } from "../../shared/format";
import { cloneRow, cloneTemplate, part } from "../components/element";
import type { ConsoleContext, Screen } from "../screen";

/** A field name for readers: `rate_cap_per_s` becomes "rate cap per s". */
export function spaced(name: string): string {
  return name.replaceAll("_", " ");
}

/** The changed fields of an entry, each as one line. Pure. */
export function changes({ before, after }: Pick<AuditEntry, "before" | "after">): string[] {
  const shown = (value: unknown): string => (value === null || value === undefined ? "none" : typeof value === "string" ? `“${value}”` : JSON.stringify(value));
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  return names.map((name) => (before && name in before ? `${spaced(name)}: ${shown(before[name])} → ${shown(after?.[name])}` : `${spaced(name)}: ${shown(after?.[name])}`));
}

export class AuditScreen implements Screen {
  readonly element = cloneTemplate("audit");
  readonly title = "Audit log";
  readonly #context: ConsoleContext;
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
    this.#more.addEventListener("click", () => void this.#read());
    void this.#read();
  }

  async #read(): Promise<void> {
    const page = this.#context.unwrap(await this.#context.client.audit(this.#sale, this.#next));
    if (!page) return;
    this.#next = page.next ?? undefined;
    this.#more.hidden = page.next === null;
    part(this.element, "tbody", HTMLElement).append(...page.entries.map((entry) => this.#row(entry)));
  }

  #row(entry: AuditEntry): HTMLTableRowElement {
    const row = cloneRow(this.element, {
      time: moment(entry.at),
      operator: entry.who,
      action: spaced(entry.action),
      subject: entry.subject,
      reason: entry.reason ?? "",
    });
    const link = part(row, "a", HTMLAnchorElement);
    if (entry.sale === null) link.replaceWith(entry.subject);
    else link.href = `#/sales/${entry.sale}`;
    for (const change of changes(entry)) part(row, "ul", HTMLElement).appendChild(document.createElement("li")).textContent = change;
    return row;
  }
}
