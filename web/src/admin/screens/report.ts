/** The report of a sale. */

import type { Report } from "../../shared/api";
import { count, duration, money, moment } from "../../shared/format";
import { cloneRow, cloneTemplate, fill, part } from "../components/element";
import type { ConsoleContext, Screen } from "../screen";

const STEPS = ["joined", "admitted", "claimed", "redeemed", "paid"] as const;

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

  #show({ sale, orders, funnel, fairness, waits_s: waits, minutes, ...report }: Report): void {
    part(this.element, "h1", HTMLElement).textContent = `Report: ${sale.name}`;
    document.title = `Report: ${sale.name} · Fairline admin`;
    part(this.element, "[data-loading]", HTMLElement).hidden = true;
    const body = part(this.element, "[data-body]", HTMLElement);
    body.hidden = false;
    part(body, ".verdict", HTMLElement).dataset.state = fairness.out_of_order === 0 && fairness.stock_in_order ? "passed" : "failed";
    fill(body, {
      fairness: fairness.sentence,
      revenue: money(report.revenue_minor, sale.currency),
      orders: count(orders.paid),
      units: count(orders.units),
      conversion: report.conversion === null ? "–" : `${(report.conversion * 100).toFixed(1)} %`,
      refunded: `${count(orders.refunded)} (${money(report.refunded_minor, sale.currency)})`,
      disputed: `${count(orders.disputed)} (${money(report.disputed_minor, sale.currency)})`,
      expired: count(orders.expired),
      cancelled: count(orders.cancelled),
      left: count(funnel.left),
      removed: count(funnel.removed),
    });
    this.#showFunnel(body, funnel);
    this.#showWaits(body, waits);
    part(body, "tbody", HTMLElement).append(...minutes.map((minute) => cloneRow(this.element, {
      minute: moment(minute.at),
      joined: count(minute.joined),
      admitted: count(minute.admitted),
      orders: count(minute.orders),
    })));
  }

  #showFunnel(body: HTMLElement, funnel: Report["funnel"]): void {
    for (const step of STEPS) {
      const percent = funnel.joined === 0 ? undefined : (funnel[step] / funnel.joined) * 100;
      fill(body, { [step]: count(funnel[step]), [`${step}-share`]: percent === undefined ? "" : `(${percent.toFixed(1)} %)` });
      part(body, `[data-step=${step}] i`, HTMLElement).style.setProperty("width", `${percent ?? 0}%`);
    }
  }

  #showWaits(body: HTMLElement, waits: Report["waits_s"]): void {
    for (const element of body.querySelectorAll<HTMLElement>("[data-waits]")) element.hidden = (element.dataset.waits === "none") !== (waits === null);
    if (waits === null) return;
    const time = (seconds: number): string => duration(seconds * 1000);
    fill(body, { p50: time(waits.p50), p90: time(waits.p90), p99: time(waits.p99), max: time(waits.max), mean: time(waits.mean) });
  }
}
