/** Finds, copies and fills elements. Text goes in as text, never as markup. */

/** The element that a selector names, which must exist. */
export function part<E extends HTMLElement>(root: ParentNode, selector: string, kind: new () => E): E {
  const found = root.querySelector(selector);
  if (found instanceof kind) return found;
  throw new Error(`the page has no ${selector}`);
}

/** A copy of a screen's template. */
export function cloneTemplate(name: string): HTMLElement {
  const template = part(document, `template[data-screen=${name}]`, HTMLTemplateElement);
  const copy = (template.content.cloneNode(true) as DocumentFragment).firstElementChild;
  if (copy instanceof HTMLElement) return copy;
  throw new Error(`the template ${name} holds nothing`);
}

/** A copy of the table row in the template in `root`. Its cells have `data-cell` names. */
export function cloneRow(root: ParentNode, cells: Record<string, string>): HTMLTableRowElement {
  const row = part(part(root, "template", HTMLTemplateElement).content.cloneNode(true) as DocumentFragment, "tr", HTMLTableRowElement);
  fillRow(row, cells);
  return row;
}

/** Sets the texts of a row's cells. */
export function fillRow(row: HTMLTableRowElement, cells: Record<string, string>): void {
  for (const [name, text] of Object.entries(cells)) part(row, `[data-cell=${name}]`, HTMLElement).textContent = text;
}

/** Sets the text of every element in `root` whose `data-text` is a name in `texts`. */
export function fill(root: ParentNode, texts: Record<string, string>): void {
  for (const target of root.querySelectorAll<HTMLElement>("[data-text]")) {
    const text = texts[target.dataset.text ?? ""];
    if (text !== undefined && target.textContent !== text) target.textContent = text;
  }
}

/** Sets the fields of a form by name. A checkbox is checked if its value is not empty. */
export function fillForm(form: HTMLFormElement, values: Record<string, string>): void {
  for (const [name, value] of Object.entries(values)) {
    const input = form.elements.namedItem(name);
    if (input instanceof HTMLInputElement && input.type === "checkbox") input.checked = value !== "";
    else if (input instanceof HTMLInputElement || input instanceof HTMLSelectElement || input instanceof HTMLTextAreaElement) input.value = value;
  }
}
