/** The lanes of one sale: their shares, and invitations to them. */

import type { AdminLane, AdminSale } from "../../shared/api";
import { field } from "../../shared/form-field";
import { count } from "../../shared/format";
import { cloneRow, fillRow, part } from "../components/element";

export interface LanesListener {
  add(name: string, share: number): void;
  share(name: string, share: number): void;
  /** The codes of new invitations; undefined after a failure, which is already on screen. */
  invite(name: string, invitations: number): Promise<string[] | undefined>;
}

export class Lanes {
  readonly #element: HTMLElement;
  readonly #listener: LanesListener;
  #lanes: AdminLane[] = [];

  constructor(element: HTMLElement, listener: LanesListener) {
    this.#element = element;
    this.#listener = listener;
    this.#form("add", (form) => {
      listener.add(field(form, "lane"), Number(field(form, "share")) / 100);
      form.reset();
    });
    this.#form("invite", (form) => void this.#invite(field(form, "lane"), Number(field(form, "count"))));
  }

  show({ lanes }: AdminSale): void {
    const named = (all: AdminLane[]): string => all.map(({ name }) => name).join();
    const others = named(lanes) !== named(this.#lanes);
    this.#lanes = lanes;
    for (const element of this.#element.querySelectorAll<HTMLElement>("[data-with-lanes]")) element.hidden = lanes.length === 0;
    const body = this.#element.querySelector("tbody");
    if (!body) return;
    if (others) {
      body.replaceChildren(...lanes.map(({ name }) => this.#row(name)));
      this.#element.querySelector("select")?.replaceChildren(...lanes.map(({ name }) => new Option(name)));
    }
    lanes.forEach((lane, at) => {
      const row = body.rows[at];
      if (!row) return;
      const share = part(row, "input", HTMLInputElement);
      fillRow(row, { waiting: count(lane.waiting), admitted: count(lane.admitted), invitations: count(lane.invitations) });
      const percent = String(Math.round(lane.share * 1e4) / 100);
      if (share.dataset.touched === undefined && share.value !== percent) share.value = percent;
    });
  }

  #row(name: string): HTMLTableRowElement {
    const row = cloneRow(this.#element, { name });
    const share = part(row, "input", HTMLInputElement);
    share.setAttribute("aria-label", `Share of ${name} (%)`);
    share.addEventListener("input", () => { share.dataset.touched = ""; });
    part(row, "form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      delete share.dataset.touched;
      this.#listener.share(name, Number(share.value) / 100);
    });
    return row;
  }

  #form(name: string, submit: (form: HTMLFormElement) => void): void {
    const form = this.#element.querySelector<HTMLFormElement>(`[data-lanes=${name}]`);
    form?.addEventListener("submit", (event) => {
      event.preventDefault();
      submit(form);
    });
  }

  /** Links can be shown only once: they are not stored. */
  async #invite(name: string, invitations: number): Promise<void> {
    const slug = this.#lanes.find((lane) => lane.name === name)?.slug;
    const codes = await this.#listener.invite(name, invitations);
    const shown = this.#element.querySelector("textarea");
    if (!codes || slug === undefined || !shown) return;
    shown.value = codes.map((code) => new URL(`/sales/${slug}?invitation=${code}`, location.origin).href).join("\n");
    shown.closest("label")?.removeAttribute("hidden");
    shown.focus();
    shown.select();
  }
}
