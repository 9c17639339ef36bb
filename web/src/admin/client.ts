/**
 * The admin API for a signed-in operator: the session is in a cookie, its CSRF token in a header.
 */

import type {
  AddedOperator, AddedWebhook, AdminOrder, AdminOrders, AdminSale, AdminSales, AuditPage, EnrolmentCode, Enrolled, ImportReport, Invitations, InvitedOperator, NewProduct, NewSale, Operator,
  OperatorChange, Operators, Product, ProductChange, Products, Rehearsal, RehearsalPlan, Report, RevokedTokens, Role, SaleChange, SaleCommand, Session, TotpSecret,
  UploadedImage, Webhooks,
} from "../shared/api";
import { request, type Answer } from "../shared/http";

const ROOT = "/api/admin";
const SALES = `${ROOT}/sales`;
const PRODUCTS = `${ROOT}/products`;

export class AdminClient {
  #csrf = "";

  async session(): Promise<Answer<Session>> {
    return this.#remember(await this.#request<Session>("GET", `${ROOT}/session`));
  }

  async signIn(name: string, password: string, code: string): Promise<Answer<Session>> {
    return this.#remember(await this.#request<Session>("POST", `${ROOT}/session`, { name, password, code }));
  }

  signOut(): Promise<Answer<unknown>> {
    return this.#request("DELETE", `${ROOT}/session`);
  }

  changePassword(old: string, password: string): Promise<Answer<unknown>> {
    return this.#request("POST", `${ROOT}/session/password`, { old, new: password });
  }

  /** With the admin token: a new installation has no operator who could sign in. */
  addFirstOperator(token: string, name: string, password: string): Promise<Answer<AddedOperator>> {
    return request(`${ROOT}/operators`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ name, password, role: "owner" }),
    });
  }

  operators(): Promise<Answer<Operators>> {
    return this.#request("GET", `${ROOT}/operators`);
  }

  addOperator(name: string, role: Role, password: string): Promise<Answer<AddedOperator>> {
    return this.#request("POST", `${ROOT}/operators`, { name, role, password });
  }

  /** The operator chooses the password with the enrolment code. */
  inviteOperator(name: string, role: Role): Promise<Answer<InvitedOperator>> {
    return this.#request("POST", `${ROOT}/operators`, { name, role });
  }

  renewEnrolment(name: string): Promise<Answer<EnrolmentCode>> {
    return this.#request("POST", `${ROOT}/operators/${encodeURIComponent(name)}/enrolment`);
  }

  enrol(code: string, password: string): Promise<Answer<Enrolled>> {
    return this.#request("POST", `${ROOT}/enrolment`, { code, password });
  }

  changeOperator(name: string, change: OperatorChange): Promise<Answer<Operator>> {
    return this.#request("PATCH", `${ROOT}/operators/${encodeURIComponent(name)}`, change);
  }

  renewTotp(name: string): Promise<Answer<TotpSecret>> {
    return this.#request("POST", `${ROOT}/operators/${encodeURIComponent(name)}/totp`);
  }

  removeOperator(name: string): Promise<Answer<unknown>> {
    return this.#request("DELETE", `${ROOT}/operators/${encodeURIComponent(name)}`);
  }

  /** Entries of one sale or of all; those before an entry, or the newest. */
  audit(sale: string | undefined, before: number | undefined): Promise<Answer<AuditPage>> {
    const wanted = new URLSearchParams({ ...(sale !== undefined && { sale }), ...(before !== undefined && { before: String(before) }) });
    return this.#request("GET", `${ROOT}/audit?${wanted.toString()}`);
  }

  sale(id: string): Promise<Answer<AdminSale>> {
    return this.#request("GET", `${SALES}/${id}`);
  }

  sales(): Promise<Answer<AdminSales>> {
    return this.#request("GET", SALES);
  }

  create(sale: NewSale): Promise<Answer<AdminSale>> {
    return this.#request("POST", SALES, sale);
  }

  command(id: string, command: SaleCommand): Promise<Answer<AdminSale>> {
    return this.#request("POST", `${SALES}/${id}/${command}`);
  }

  change(id: string, change: SaleChange): Promise<Answer<AdminSale>> {
    return this.#request("PATCH", `${SALES}/${id}`, change);
  }

  /** Admits shoppers beyond the rate cap. */
  admit(id: string, count: number): Promise<Answer<AdminSale>> {
    return this.#request("POST", `${SALES}/${id}/admit`, { count });
  }

  /** Removes a ticket from the line, or serves it next. */
  moveTicket(id: string, ordinal: number, how: "remove" | "prefer", reason: string): Promise<Answer<unknown>> {
    return this.#request("POST", `${SALES}/${id}/tickets/${ordinal}/${how}`, { reason });
  }

  /** Revokes all unused tokens. */
  revokeTokens(id: string, reason: string): Promise<Answer<RevokedTokens>> {
    return this.#request("POST", `${SALES}/${id}/revoke`, { reason });
  }

  /** Orders that match the search, or all; those before an order, or the newest. */
  orders(id: string, search: string, before: string | undefined): Promise<Answer<AdminOrders>> {
    const wanted = new URLSearchParams({ search, ...(before !== undefined && { before }) });
    return this.#request("GET", `${SALES}/${id}/orders?${wanted.toString()}`);
  }

  /** Refunds an amount, or the rest. */
  refundOrder(id: string, order: string, amountMinor: number | undefined, reason: string): Promise<Answer<AdminOrder>> {
    return this.#request("POST", `${SALES}/${id}/orders/${order}/refund`, { amount_minor: amountMinor ?? null, reason });
  }

  cancelOrder(id: string, order: string, reason: string): Promise<Answer<AdminOrder>> {
    return this.#request("POST", `${SALES}/${id}/orders/${order}/cancel`, { reason });
  }

  report(id: string): Promise<Answer<Report>> {
    return this.#request("GET", `${SALES}/${id}/report`);
  }

  rehearse(id: string, plan: RehearsalPlan): Promise<Answer<Rehearsal>> {
    return this.#request("POST", `${SALES}/${id}/rehearsals`, plan);
  }

  stopRehearsal(id: string): Promise<Answer<unknown>> {
    return this.#request("DELETE", `${ROOT}/rehearsals/${id}`);
  }

  addLane(id: string, name: string, share: number): Promise<Answer<AdminSale>> {
    return this.#request("POST", `${SALES}/${id}/lanes`, { name, share });
  }

  shareLane(id: string, name: string, share: number): Promise<Answer<AdminSale>> {
    return this.#request("PATCH", `${SALES}/${id}/lanes/${name}`, { share });
  }

  invite(id: string, name: string, count: number): Promise<Answer<Invitations>> {
    return this.#request("POST", `${SALES}/${id}/lanes/${name}/invitations`, { count });
  }

  /** Products that match the search, or all; those before a product, or the newest. */
  products(search: string, archived: boolean, before: string | undefined): Promise<Answer<Products>> {
    const wanted = new URLSearchParams({ search, archived: String(archived), ...(before !== undefined && { before }) });
    return this.#request("GET", `${PRODUCTS}?${wanted.toString()}`);
  }

  product(id: string): Promise<Answer<Product>> {
    return this.#request("GET", `${PRODUCTS}/${id}`);
  }

  createProduct(product: NewProduct): Promise<Answer<Product>> {
    return this.#request("POST", PRODUCTS, product);
  }

  changeProduct(id: string, change: ProductChange): Promise<Answer<Product>> {
    return this.#request("PATCH", `${PRODUCTS}/${id}`, change);
  }

  archiveProduct(id: string, archived: boolean): Promise<Answer<Product>> {
    return this.#request("POST", `${PRODUCTS}/${id}/${archived ? "archive" : "unarchive"}`);
  }

  deleteProduct(id: string): Promise<Answer<unknown>> {
    return this.#request("DELETE", `${PRODUCTS}/${id}`);
  }

  /** Imports a table of products, or only checks it. */
  importProducts(table: Blob, dryRun: boolean): Promise<Answer<ImportReport>> {
    return this.#upload(`${PRODUCTS}.csv?dry_run=${String(dryRun)}`, table, "text/csv");
  }

  uploadImage(image: Blob): Promise<Answer<UploadedImage>> {
    return this.#upload(`${ROOT}/media`, image, image.type);
  }

  webhooks(): Promise<Answer<Webhooks>> {
    return this.#request("GET", `${ROOT}/webhooks`);
  }

  addWebhook(url: string): Promise<Answer<AddedWebhook>> {
    return this.#request("POST", `${ROOT}/webhooks`, { url });
  }

  enableWebhook(id: string): Promise<Answer<unknown>> {
    return this.#request("POST", `${ROOT}/webhooks/${id}/enable`);
  }

  forgetWebhook(id: string): Promise<Answer<unknown>> {
    return this.#request("DELETE", `${ROOT}/webhooks/${id}`);
  }

  #remember(answer: Answer<Session>): Answer<Session> {
    if (answer.kind === "ok") this.#csrf = answer.body.csrf;
    return answer;
  }

  #upload<T>(address: string, body: Blob, type: string): Promise<Answer<T>> {
    return request<T>(address, { method: "POST", headers: { "x-csrf-token": this.#csrf, "content-type": type }, body });
  }

  #request<T>(method: string, address: string, body?: object): Promise<Answer<T>> {
    const headers: Record<string, string> = method === "GET" ? {} : { "x-csrf-token": this.#csrf };
    if (!body) return request<T>(address, { method, headers });
    return request<T>(address, { method, headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(body) });
  }
}
