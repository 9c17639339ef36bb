/** The admin API, for an operator who has signed in. */

import type { AdminSale, NewSale, SaleChange, SaleCommand, Webhook } from "../api";
import { ask, type Answer } from "../http";

const SALES = "/api/admin/sales";
const WEBHOOKS = "/api/admin/webhooks";

export class AdminClient {
  readonly #token: string;

  constructor(token: string) {
    this.#token = token;
  }

  sales(): Promise<Answer<{ sales: AdminSale[] }>> {
    return this.#ask("GET", SALES);
  }

  create(sale: NewSale): Promise<Answer<AdminSale>> {
    return this.#ask("POST", SALES, sale);
  }

  command(id: string, command: SaleCommand): Promise<Answer<AdminSale>> {
    return this.#ask("POST", `${SALES}/${id}/${command}`);
  }

  change(id: string, change: SaleChange): Promise<Answer<AdminSale>> {
    return this.#ask("PATCH", `${SALES}/${id}`, change);
  }

  addLane(id: string, name: string, share: number): Promise<Answer<AdminSale>> {
    return this.#ask("POST", `${SALES}/${id}/lanes`, { name, share });
  }

  shareLane(id: string, name: string, share: number): Promise<Answer<AdminSale>> {
    return this.#ask("PATCH", `${SALES}/${id}/lanes/${name}`, { share });
  }

  invite(id: string, name: string, count: number): Promise<Answer<{ codes: string[] }>> {
    return this.#ask("POST", `${SALES}/${id}/lanes/${name}/invitations`, { count });
  }

  webhooks(): Promise<Answer<{ webhooks: Webhook[] }>> {
    return this.#ask("GET", WEBHOOKS);
  }

  addWebhook(url: string): Promise<Answer<{ secret: string }>> {
    return this.#ask("POST", WEBHOOKS, { url });
  }

  switchOnWebhook(id: string): Promise<Answer<unknown>> {
    return this.#ask("POST", `${WEBHOOKS}/${id}/on`);
  }

  forgetWebhook(id: string): Promise<Answer<unknown>> {
    return this.#ask("DELETE", `${WEBHOOKS}/${id}`);
  }

  #ask<T>(method: string, address: string, body?: object): Promise<Answer<T>> {
    const headers = { authorization: `Bearer ${this.#token}` };
    if (!body) return ask<T>(address, { method, headers });
    return ask<T>(address, { method, headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(body) });
  }
}
