/** The report of a sale. */

import type { Report } from "../../shared/api";
import { count, duration, money, moment } from "../../shared/format";
import { cloneTemplate, element, part, row, table } from "../components/element";
import type { ConsoleContext, Screen } from "../screen";

const FUNNEL = [
  ["joined", "joined the line"], ["admitted", "were admitted"], ["claimed", "claimed their turn"], ["redeemed", "reached checkout"], ["paid", "paid"],
] as const;

export class ReportScreen implements Screen {
  readonly element = cloneTemplate("report");
  readonly title = "Report";

  constructor(context: ConsoleContext, id: string) {
    part(this.element, "[data-csv]", HTMLAnchorElement).href = `/api/admin/sales/${id}/report.csv`;
    part(this.element, "[data-sale]", HTMLAnchorElement).href = `#/sales/${id}`;
    void context.client.report(id).then((answer) => {
      const report = context.unwrap(answer);
      if (report) this.#show(report);
    });
  }

  #show(report: Report): void {
    const { sale, funnel, orders } = report;
    part(this.element, "h1", HTMLElement).textContent = `Report: ${sale.name}`;
    document.title = `Report: ${sale.name} – Fairline`;
    const share = report.conversion === null ? "–" : `${(report.conversion * 100).toFixed(1)} %`;
    const body = part(this.element, "[data-body]", HTMLElement);
    const verdict = element("p", { class: "verdict", "data-state": report.fairness.out_of_order === 0 && report.fairness.stock_in_order ? "passed" : "failed" }, report.fairness.sentence);
    const figures = this.#figures([
      ["Revenue", money(report.revenue_minor, sale.currency)], ["Orders", count(orders.paid)], ["Units sold", count(orders.units)],
      ["Conversion", share], ["Refunded", `${count(orders.refunded)} (${money(report.refunded_minor, sale.currency)})`],
      ["Disputed", `${count(orders.disputed)} (${money(report.disputed_minor, sale.currency)})`],
      ["Expired holds", count(orders.lapsed)], ["Cancelled holds", count(orders.cancelled)], ["Abandoned at their turn", count(funnel.left)],
      ["Removed tickets", count(funnel.removed)],
    ]);
    body.replaceChildren(
      this.#panel("Fairness", verdict),
      this.#panel("Revenue", figures),
      this.#panel("Funnel", ...this.#funnel(report)),
      this.#panel("Wait times", ...this.#waits(report)),
      this.#panel("By minute", this.#minutes(report)),
    );
  }

  #panel(title: string, ...children: Node[]): HTMLElement {
    return element("section", { class: "panel" }, element("h2", {}, title), ...children);
  }

  #figures(pairs: [string, string][]): HTMLElement {
    return element("dl", { class: "counters" }, ...pairs.map(([what, much]) => element("div", {}, element("dt", {}, what), element("dd", {}, much))));
  }

  #funnel({ funnel }: Report): Node[] {
    return FUNNEL.map(([step, words]) => {
      const bar = element("i");
      bar.style.setProperty("width", `${funnel.joined === 0 ? 0 : (funnel[step] / funnel.joined) * 100}%`);
      const part = funnel.joined === 0 ? "" : ` (${((funnel[step] / funnel.joined) * 100).toFixed(1)} %)`;
      return element("div", { class: "step" }, element("span", {}, `${count(funnel[step])} ${words}${part}`), element("div", { class: "bar", "aria-hidden": "true" }, bar));
    });
  }

  #waits({ waits_s: waits }: Report): Node[] {
    if (waits === null) return [element("p", {}, "No wait times were measured.")];
    const time = (seconds: number): string => duration(seconds * 1000);
    return [
      element("p", { class: "quiet" }, "From joining, or from the opening if later, to the turn."),
      this.#figures([["Median", time(waits.p50)], ["90th percentile", time(waits.p90)], ["99th percentile", time(waits.p99)], ["Maximum", time(waits.max)], ["Mean", time(waits.mean)]]),
    ];
  }

  #minutes({ minutes }: Report): HTMLElement {
    const shown = table("By minute", ["Minute", "Joined", "Admitted", "Orders"]);
    shown.body.append(...minutes.map((minute) => row([moment(minute.at), count(minute.joined), count(minute.admitted), count(minute.orders)])));
    return shown.element;
  }
}
