/** Buying. Requests that are safe to repeat are retried until the server has responded. */

import type { Order, Orders } from "../shared/api";
import { request, type Answer } from "../shared/http";
import { retryDelayMs } from "./retry";

const TRIES = 6;

/** Redeems the admission for a hold. Retries are safe: the server repeats its first response. */
export async function reserve(saleId: string, token: string, quantity: number): Promise<Answer<Order>> {
  const answer = await withRetries(() =>
    request<Order>(`/api/flash-sales/${saleId}/purchase`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ quantity }),
    }),
  );
  return answer.kind === "refused" && answer.problem.order ? { kind: "ok", body: answer.problem.order } : answer;
}

/** Pays for a hold. If a response is lost, the order shows whether it was paid. */
export async function pay(order: Order, paymentMethod: string): Promise<Answer<Order>> {
  let isStarted = false;
  return withRetries(async () => {
    if (isStarted) {
      const now = await readOrder(order.id);
      if (now.kind !== "ok" || !isToBePaid(now.body)) return now;
    }
    isStarted = true;
    return request<Order>(`/api/orders/${order.id}/payment`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ payment_method: paymentMethod }),
    });
  });
}

/** Whether the order can still be paid. */
export function isToBePaid({ status }: Order): boolean {
  return status === "held" || status === "promised";
}

/** Cancels a hold. Safe to repeat. */
export function cancelOrder(order: Order): Promise<Answer<Order>> {
  return withRetries(() => request<Order>(`/api/orders/${order.id}/cancel`, { method: "POST" }));
}

/** Withdraws a payment that is under way. Safe to repeat. */
export function withdraw(order: Order): Promise<Answer<Order>> {
  return withRetries(() => request<Order>(`/api/orders/${order.id}/payment`, { method: "DELETE" }));
}

export function readOrder(id: string): Promise<Answer<Order>> {
  return request<Order>(`/api/orders/${id}`);
}

/** The shopper's newest order of a sale. */
export async function findOrder(saleId: string): Promise<Order | undefined> {
  const answer = await withRetries(() => request<Orders>("/api/orders"));
  if (answer.kind !== "ok") return undefined;
  return answer.body.orders.filter((order) => order.sale_id === saleId).sort((a, b) => b.created_at.localeCompare(a.created_at))[0];
}

async function withRetries<T>(request: () => Promise<Answer<T>>): Promise<Answer<T>> {
  let answer = await request();
  for (let failures = 0; answer.kind === "failed" && failures < TRIES; failures += 1) {
    await pause(retryDelayMs({ failures, atLeastMs: answer.atLeastMs ?? 0 }, Math.random()));
    answer = await request();
  }
  return answer;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
