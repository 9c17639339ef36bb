/** The import of products from CSV: a check with its errors first, then the import. */

import type { ImportReport } from "../../shared/api";
import { count } from "../../shared/format";
import { cloneRow, cloneTemplate, fill, part } from "../components/element";
import { importCounts, importOutcome } from "../product-input";
import type { ConsoleContext, Screen } from "../screen";

export class ProductImportScreen implements Screen {
  readonly element = cloneTemplate("product-import");
  readonly title = "Import products";
  readonly #context: ConsoleContext;
  readonly #file = part(this.element, "[type=file]", HTMLInputElement);
  readonly #report = part(this.element, "[data-report]", HTMLElement);
  readonly #import = part(this.element, "[data-import]", HTMLButtonElement);
  /** The file that was checked: the one that is imported, even if it changes on disk. */
  #table: Blob | undefined;

  constructor(context: ConsoleContext) {
    this.#context = context;
    part(this.element, "form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#check();
    });
    // A report is of the file that it was made for.
    this.#file.addEventListener("change", () => { this.#report.hidden = true; });
    this.#import.addEventListener("click", () => void this.#run());
  }

  async #check(): Promise<void> {
    const file = this.#file.files?.[0];
    if (!file) return;
    // A file that has disappeared can't be read.
    const bytes = await file.arrayBuffer().catch(() => undefined);
    if (!bytes) {
      this.#context.notify("The file could not be read. Please choose it again.");
      return;
    }
    this.#table = new Blob([bytes]);
    const report = this.#context.unwrap(await this.#context.client.importProducts(this.#table, true));
    if (report) this.#show(report);
  }

  async #run(): Promise<void> {
    if (!this.#table) return;
    this.#import.disabled = true;
    const report = this.#context.unwrap(await this.#context.client.importProducts(this.#table, false));
    this.#import.disabled = false;
    if (report) this.#show(report);
  }

  #show(report: ImportReport): void {
    const rows = report.errors.map(({ line, column, detail }) => cloneRow(this.element, { line: count(line), column: column ?? "", detail }));
    part(this.#report, "tbody", HTMLElement).replaceChildren(...rows);
    part(this.#report, ".wide-table", HTMLElement).hidden = rows.length === 0;
    fill(this.#report, { outcome: importOutcome(report), counts: rows.length === 0 ? importCounts(report) : "" });
    this.#import.hidden = rows.length > 0 || !report.dry_run;
    this.#report.hidden = false;
    this.#report.focus();
  }
}
