/** Builds elements. Text goes in as text, never as markup. */

type Child = Node | string;

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** The part of a page that must be there. */
export function part<E extends HTMLElement>(root: ParentNode, selector: string, kind: new () => E): E {
  const found = root.querySelector(selector);
  if (found instanceof kind) return found;
  throw new Error(`the page has no ${selector}`);
}

/** A copy of one of the page's templates. */
export function cloneTemplate(name: string): HTMLElement {
  const template = part(document, `template[data-screen=${name}]`, HTMLTemplateElement);
  const copy = (template.content.cloneNode(true) as DocumentFragment).firstElementChild;
  if (copy instanceof HTMLElement) return copy;
  throw new Error(`the template ${name} holds nothing`);
}

/** Puts texts where the elements beneath say that they want them: `data-text="name"`. */
export function fill(root: ParentNode, texts: Record<string, string>): void {
  for (const wanting of root.querySelectorAll<HTMLElement>("[data-text]")) {
    const text = texts[wanting.dataset.text ?? ""];
    if (text !== undefined && wanting.textContent !== text) wanting.textContent = text;
  }
}

/**
 * Puts values into the fields of a form that have their names; a box is ticked where its value is
 * not empty.
 */
export function fillForm(form: HTMLFormElement, values: Record<string, string>): void {
  for (const [name, value] of Object.entries(values)) {
    const input = form.elements.namedItem(name);
    if (input instanceof HTMLInputElement && input.type === "checkbox") input.checked = value !== "";
    else if (input instanceof HTMLInputElement || input instanceof HTMLSelectElement || input instanceof HTMLTextAreaElement) input.value = value;
  }
}

export interface Table {
  element: HTMLElement;
  body: HTMLTableSectionElement;
}

/** A table that scrolls by itself where it is too wide. */
export function table(caption: string, heads: string[]): Table {
  const body = element("tbody");
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
  const made = element("table", {}, element("caption", { class: "unseen" }, caption), element("thead", {}, head), body);
  return { element: element("div", { class: "wide-table", tabindex: "0", role: "group", "aria-label": caption }, made), body };
}

/** A row of a table: its first cell says what it is about. */
export function row([first, ...others]: [Child, ...Child[]]): HTMLTableRowElement {
  return element("tr", {}, element("th", { scope: "row" }, first), ...others.map((cell) => element("td", {}, cell)));
}
