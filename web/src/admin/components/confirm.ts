/** Asks for confirmation, and for a reason where the audit log keeps one. */

import { part } from "./element";

export interface Question {
  title: string;
  text: string;
  /** The label of the button that confirms. */
  confirmLabel: string;
  asksReason?: boolean;
}

/** The reason, empty if none was requested; undefined if the operator cancelled. */
export function confirmed({ title, text, confirmLabel, asksReason = false }: Question): Promise<string | undefined> {
  const dialog = part(document, "#confirm", HTMLDialogElement);
  part(dialog, "h2", HTMLElement).textContent = title;
  part(dialog, "p", HTMLElement).textContent = text;
  part(dialog, "[value=go]", HTMLButtonElement).textContent = confirmLabel;
  const reason = part(dialog, "textarea", HTMLTextAreaElement);
  const label = reason.closest("label");
  if (label) label.hidden = !asksReason;
  reason.required = asksReason;
  reason.value = "";
  dialog.returnValue = "keep";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => { resolve(dialog.returnValue === "go" ? reason.value.trim() : undefined); }, { once: true });
  });
}
