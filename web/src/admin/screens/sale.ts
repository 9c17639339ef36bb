/** One sale: its live figures, and the actions on it. */

import type { AdminSale, Sample, SaleChange, SaleCommand } from "../../shared/api";
import { field } from "../../shared/form-field";
import type { Answer } from "../../shared/http";
import { count, duration, money, plural, STATUS } from "../../shared/format";
import { Chart, type Line } from "../components/chart";
import { confirmed, type Question } from "../components/confirm";
import { cloneTemplate, fill, part } from "../components/element";
import { COMMANDS, saleChange } from "../sale-input";
import { Lanes } from "../panels/lanes";
import { LiveUpdates } from "../live-updates";
import { ThemePanel } from "../panels/theme";
import { Orders } from "../panels/orders";
import { RehearsalPanel } from "../panels/rehearsal";
import type { ConsoleContext, Screen } from "../screen";
import { conversions, merged, moments, perSecond, rates } from "../time-series";
import { knownZone, momentIn } from "../time-zone";

const PARTS = ["sold", "held", "promised", "remaining"] as const;

/** Confirmations of the commands that cannot be undone. */
const QUESTIONS: Partial<Record<SaleCommand, Question>> = {
  open: {
    title: "Open this sale now?",
    text: "Admissions start now. You can pause the sale, but you can no longer change its opening time.",
    confirmLabel: "Open sale",
  },
  close: {
    title: "Close this sale?",
    text: "Waiting shoppers see that the sale is closed, and unused turns end. A closed sale cannot be reopened.",
    confirmLabel: "Close sale",
  },
};

export class SaleScreen implements Screen {
  readonly element = cloneTemplate("sale");
  readonly title = "Sale";
  readonly #id: string;
  readonly #context: ConsoleContext;
  readonly #live: LiveUpdates;
  readonly #lanes: Lanes;
  readonly #theme: ThemePanel;
  readonly #rehearsal: RehearsalPanel;
  readonly #people = this.#chart("shoppers", [
    { label: "waiting", colour: "--accent" },
    { label: "page open", colour: "--good", dash: [6, 4] },
    { label: "in checkout", colour: "--promised" },
  ]);
  readonly #flow = this.#chart("rates", [
    { label: "joins", colour: "--quiet", dash: [2, 4] },
    { label: "admissions", colour: "--accent" },
    { label: "orders", colour: "--good", dash: [6, 4] },
  ]);
  readonly #wait = this.#chart("wait", [{ label: "wait", colour: "--accent" }]);
  readonly #conversion = this.#chart("conversion", [{ label: "conversion", colour: "--good" }]);
  #samples: Sample[] = [];
  #isOver = false;

  constructor(context: ConsoleContext, id: string) {
    this.#id = id;
    this.#context = context;
    this.#lanes = new Lanes(part(this.element, ".lanes", HTMLElement), {
      add: (name, share) => void this.#settle(context.client.addLane(id, name, share)),
      share: (name, share) => void this.#settle(context.client.shareLane(id, name, share)),
      invite: async (name, many) => context.unwrap(await context.client.invite(id, name, many))?.codes,
    });
    new Orders(part(this.element, ".orders", HTMLElement), context, id);
    this.#rehearsal = new RehearsalPanel(part(this.element, ".rehearsal", HTMLElement), context, id);
    this.#theme = new ThemePanel(part(this.element, ".theme", HTMLElement), (theme) => this.#settle(context.client.change(id, { theme })));
    for (const button of this.element.querySelectorAll<HTMLElement>("[data-command]")) {
      button.addEventListener("click", () => void this.#command(button.dataset.command as SaleCommand));
    }
    for (const form of this.element.querySelectorAll<HTMLFormElement>("[data-change]")) this.#changes(form);
    this.#form("admit", (form) => this.#admit(Number(field(form, "count"))));
    this.#form("ticket", (form) => this.#moveTicket(Number(field(form, "ordinal")), field(form, "how") === "remove" ? "remove" : "prefer"));
    this.element.querySelector("[data-revoke]")?.addEventListener("click", () => void this.#revoke());
    this.#live = new LiveUpdates(context.client, id, {
      updated: (update) => {
        if (update.type === "sale") this.#show(update.sale);
        if (update.type === "samples") this.#draw(update.samples);
        if (update.type === "rehearsal") this.#rehearsal.show(update.rehearsal);
        if (update.type === "stage") this.#rehearsal.setAvailable(update.is_set);
      },
      staleSince: context.staleSince,
      refused: (answer) => {
        this.element.hidden = true;
        context.unwrap(answer);
      },
      ended: context.ended,
    });
    for (const control of this.element.querySelectorAll<HTMLElement>("[data-operators]")) control.hidden = !context.may("operator");
  }

  leave(): void {
    this.#live.close();
    for (const chart of [this.#people, this.#flow, this.#wait, this.#conversion]) chart.leave();
  }

  #chart(name: string, lines: Line[]): Chart {
    return new Chart(part(this.element, `[data-chart=${name}]`, HTMLElement), lines);
  }

  #show(sale: AdminSale): void {
    document.title = `${sale.name} · Fairline admin`;
    const zone = knownZone(sale.time_zone);
    const texts: Record<string, string> = {
      name: sale.name,
      status: STATUS[sale.status],
      facts: `${money(sale.price_minor, sale.currency)} · ${plural(sale.total, "unit", "units")} · ${sale.status === "scheduled" ? "opens" : "opened"} ${momentIn(sale.opens_at, zone)} (${zone})`,
      decision: sale.last_decision ?? "No decision yet",
    };
    for (const counter of [...PARTS, "waiting", "present", "inside", "admitted", "orders", "cursor"] as const) texts[counter] = count(sale[counter]);
    fill(this.element, texts);
    this.element.querySelector(".badge")?.setAttribute("data-status", sale.status);
    // In yield mode there are more promises than free units: the bar shows those with a unit.
    const promised = Math.min(sale.promised, Math.max(0, sale.total - sale.held - sale.sold));
    const lengths = { sold: sale.sold, held: sale.held, promised, remaining: sale.total - sale.held - sale.sold - promised };
    for (const shown of PARTS) this.element.querySelector<HTMLElement>(`.bar [data-part=${shown}]`)?.style.setProperty("flex-grow", String(lengths[shown]));
    const bar = PARTS.map((shown) => `${count(sale[shown])} ${shown === "remaining" ? "available" : shown}`).join(", ");
    this.element.querySelector(".bar")?.setAttribute("aria-label", `Of ${plural(sale.total, "unit", "units")}: ${bar}`);
    const isOver = sale.status === "closed";
    if (isOver !== this.#isOver) {
      this.#isOver = isOver;
      this.#draw([]);
    }
    for (const button of this.element.querySelectorAll<HTMLElement>("[data-command]")) {
      button.hidden = !this.#context.may("operator") || !COMMANDS[sale.status].includes(button.dataset.command as SaleCommand);
    }
    for (const control of this.element.querySelectorAll<HTMLElement>("[data-running]")) control.hidden = this.#isOver || !this.#context.may("operator");
    for (const link of this.element.querySelectorAll<HTMLAnchorElement>("[data-link]")) {
      link.href = { page: `/sales/${sale.slug}`, report: `#/sales/${sale.id}/report`, copy: `#/new?copy=${sale.id}`, audit: `#/audit?sale=${sale.id}`, original: `#/sales/${sale.rehearsal_of ?? ""}` }[link.dataset.link ?? ""] ?? "#/sales";
      if (link.dataset.link === "original") link.hidden = sale.rehearsal_of === null;
      if (link.dataset.link === "copy") link.hidden = !this.#context.may("operator");
    }
    this.#showSettings(sale);
    this.#lanes.show(sale);
    this.#theme.show(sale);
    this.#rehearsal.showSale(sale);
  }

  /** A setting follows the sale until the operator starts to type. */
  #showSettings(sale: AdminSale): void {
    for (const form of this.element.querySelectorAll<HTMLElement>("[data-change]")) {
      const input = form.querySelector("input");
      const value = String(sale[form.dataset.change as "total" | "message"] ?? "");
      if (input && input.dataset.touched === undefined && input.value !== value) input.value = value;
    }
  }

  #draw(samples: Sample[]): void {
    this.#samples = merged(this.#samples, samples);
    const [known, last] = [this.#samples, this.#samples.at(-1)];
    if (!last) return;
    const at = moments(known);
    const [joins, admissions, orders] = [rates(known, ({ joined }) => joined), rates(known, ({ admitted }) => admitted), rates(known, (sample) => sample.orders)];
    const now = (values: (number | null)[]): number => values.at(-1) ?? 0;
    const when = this.#isOver ? "At the end" : "Now";
    this.#people.show(
      at,
      [known.map(({ waiting }) => waiting), known.map(({ present }) => present), known.map(({ inside }) => inside)],
      `${when}: ${count(last.waiting)} waiting, ${count(last.present)} of them with the page open, and ${count(last.inside)} in checkout.`,
    );
    this.#flow.show(at, [joins, admissions, orders], `${when}: ${perSecond(now(joins))} joins, ${perSecond(now(admissions))} admissions and ${perSecond(now(orders))} orders per second.`);
    const wait = this.#isOver ? "The sale is closed." : last.likely_wait_s === null ? "No admissions in the last 30 seconds." : `Shoppers who join now wait about ${duration(last.likely_wait_s * 1000)}.`;
    this.#wait.show(at, [known.map((sample) => sample.likely_wait_s)], wait);
    const part = conversions(known);
    this.#conversion.show(at, [part], `${count(last.orders)} of ${plural(last.admitted, "admitted shopper", "admitted shoppers")} paid (${now(part).toFixed(0)} %).`);
  }

  #form(name: string, submit: (form: HTMLFormElement) => Promise<void>): void {
    const form = part(this.element, `form[data-form=${name}]`, HTMLFormElement);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void submit(form);
    });
  }

  #changes(form: HTMLFormElement): void {
    const input = part(form, "input", HTMLInputElement);
    input.addEventListener("input", () => { input.dataset.touched = ""; });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#settle(this.#context.client.change(this.#id, saleChange(form.dataset.change as keyof SaleChange, input.value))).then((done) => {
        if (done) delete input.dataset.touched;
      });
    });
  }

  async #settle(request: Promise<Answer<AdminSale>>): Promise<boolean> {
    const sale = this.#context.unwrap(await request);
    if (sale) this.#show(sale);
    return sale !== undefined;
  }

  async #command(command: SaleCommand): Promise<void> {
    const question = QUESTIONS[command];
    if (question && (await confirmed(question)) === undefined) return;
    await this.#settle(this.#context.client.command(this.#id, command));
  }

  async #admit(many: number): Promise<void> {
    const sure = await confirmed({
      title: `Admit ${plural(many, "more shopper", "more shoppers")} now?`,
      text: "They are admitted immediately, beyond the maximum rate, while units are available. To undo this, you can only revoke all unused tokens of the sale.",
      confirmLabel: "Admit now",
    });
    if (sure === undefined) return;
    const sale = this.#context.unwrap(await this.#context.client.admit(this.#id, many));
    if (!sale) return;
    this.#show(sale);
    this.#context.notify(`Admitting ${plural(many, "more shopper", "more shoppers")} now, while units are available.`);
  }

  async #moveTicket(ordinal: number, how: "remove" | "prefer"): Promise<void> {
    const question = how === "remove"
      ? { title: `Remove ticket ${count(ordinal)}?`, text: "The shopper is notified and can join again at the end of the line.", confirmLabel: "Remove ticket" }
      : { title: `Serve ticket ${count(ordinal)} next?`, text: "The shopper gets a turn before all others. The public record of the sale shows this.", confirmLabel: "Serve next" };
    const reason = await confirmed({ ...question, asksReason: true });
    if (reason === undefined) return;
    const done = this.#context.unwrap(await this.#context.client.moveTicket(this.#id, ordinal, how, reason));
    if (done !== undefined) this.#context.notify(how === "remove" ? `Ticket ${count(ordinal)} removed.` : `Ticket ${count(ordinal)} is served next.`);
  }

  async #revoke(): Promise<void> {
    const reason = await confirmed({
      title: "Revoke all unused tokens?",
      text: "Admitted shoppers who have not reached checkout go back to the front of the line. Holds and orders are not affected.",
      confirmLabel: "Revoke tokens",
      asksReason: true,
    });
    if (reason === undefined) return;
    const done = this.#context.unwrap(await this.#context.client.revokeTokens(this.#id, reason));
    if (done) this.#context.notify(`${plural(done.revoked, "token", "tokens")} revoked.`);
  }
}
