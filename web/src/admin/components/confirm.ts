/** Asks for confirmation, and for a reason where the audit log keeps one. */

import { part } from "./element";

export interface Question {
  title: string;
  text: string;
  /** The label of the button that confirms. */
  go: string;
  asksWhy?: boolean;
}

/** The reason, empty if none was asked for; undefined if the operator cancelled. */
export function confirmed({ title, text, go, asksWhy = false }: Question): Promise<string | undefined> {
  const dialog = part(document, "#confirm", HTMLDialogElement);
  part(dialog, "h2", HTMLElement).textContent = title;
  part(dialog, "p", HTMLElement).textContent = text;
  part(dialog, "[value=go]", HTMLButtonElement).textContent = go;
  const why = part(dialog, "textarea", HTMLTextAreaElement);
  const label = why.closest("label");
  if (label) label.hidden = !asksWhy;
  why.required = asksWhy;
  why.value = "";
  dialog.returnValue = "keep";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => { resolve(dialog.returnValue === "go" ? why.value.trim() : undefined); }, { once: true });
  });
}
