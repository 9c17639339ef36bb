/** Rows of a table that an operator moves and removes, by mouse, keyboard or screen reader. */

interface Options {
  /** What a row holds: its fields and buttons are labelled "SKU of variant 2". */
  noun: string;
  /** Receives the focus when the last row is removed. */
  fallback: HTMLElement;
  /** Called after each change, with what happened. */
  changed: (text: string) => void;
}

export class OrderedRows {
  readonly #body: HTMLTableSectionElement;
  readonly #options: Options;

  constructor(body: HTMLTableSectionElement, options: Options) {
    this.#body = body;
    this.#options = options;
  }

  get rows(): HTMLTableRowElement[] {
    return [...this.#body.rows];
  }

  /** Replaces all rows. */
  replace(rows: HTMLTableRowElement[]): void {
    this.#body.replaceChildren();
    for (const row of rows) this.#append(row);
    this.#number();
  }

  add(row: HTMLTableRowElement): void {
    this.#append(row);
    this.#number();
  }

  #append(row: HTMLTableRowElement): void {
    const actions: Record<string, () => void> = {
      up: () => { this.#move(row, "up"); },
      down: () => { this.#move(row, "down"); },
      remove: () => { this.#remove(row); },
    };
    for (const button of row.querySelectorAll<HTMLButtonElement>("button[data-do]")) {
      button.dataset.label ??= button.textContent;
      button.addEventListener("click", () => { actions[button.dataset.do ?? ""]?.(); });
    }
    this.#body.append(row);
  }

  #move(row: HTMLTableRowElement, way: "up" | "down"): void {
    if (way === "up") row.previousElementSibling?.before(row);
    else row.nextElementSibling?.after(row);
    this.#number();
    // The button may be disabled now, at the first or last place.
    const buttons = [way, way === "up" ? "down" : "up"].map((name) => row.querySelector<HTMLButtonElement>(`[data-do=${name}]`));
    buttons.find((button) => button !== null && !button.disabled)?.focus();
    this.#options.changed(`Moved to place ${this.rows.indexOf(row) + 1} of ${this.rows.length}.`);
  }

  #remove(row: HTMLTableRowElement): void {
    const at = this.rows.indexOf(row);
    row.remove();
    this.#number();
    const next = this.rows[Math.min(at, this.rows.length - 1)];
    (next?.querySelector<HTMLElement>("[data-do=remove]") ?? this.#options.fallback).focus();
    const noun = this.#options.noun;
    this.#options.changed(`${noun.charAt(0).toUpperCase()}${noun.slice(1)} removed.`);
  }

  /** Labels the fields by their row, and disables the buttons that would do nothing. */
  #number(): void {
    const { rows } = this;
    rows.forEach((row, index) => {
      for (const field of row.querySelectorAll<HTMLElement>("[data-label]")) {
        field.setAttribute("aria-label", `${field.dataset.label ?? ""} of ${this.#options.noun} ${index + 1}`);
      }
      for (const [name, isEnd] of [["up", index === 0], ["down", index === rows.length - 1]] as const) {
        const button = row.querySelector<HTMLButtonElement>(`[data-do=${name}]`);
        if (button) button.disabled = isEnd;
      }
    });
  }
}
