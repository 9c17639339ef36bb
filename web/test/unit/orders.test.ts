import assert from "node:assert/strict";
import { test } from "node:test";
import { actionsOf, requestText } from "../../src/admin/panels/orders";
import type { AdminOrder } from "../../src/shared/api";

const order: AdminOrder = {
  id: "0190", status: "paid", quantity: 1, amount_minor: 4_900, currency: "EUR", refunded_minor: 0, disputed_minor: 0, dispute: null, reference: "pi_1",
  ordinal: 7, address: null, created_at: "2026-11-27T09:00:00Z", paid_at: "2026-11-27T09:01:00Z", request: null,
};

test("a paid order can be refunded up to its amount, and an unpaid one can be cancelled", () => {
  assert.deepEqual(actionsOf(order), ["refund"]);
  assert.deepEqual(actionsOf({ ...order, refunded_minor: 1_000 }), ["refund"]);
  assert.deepEqual(actionsOf({ ...order, status: "refunded", refunded_minor: 4_900 }), []);
  for (const status of ["held", "promised", "payment_pending"] as const) assert.deepEqual(actionsOf({ ...order, status }), ["cancel"]);
  for (const status of ["expired", "cancelled"] as const) assert.deepEqual(actionsOf({ ...order, status }), []);
  assert.deepEqual(actionsOf({ ...order, request: { kind: "refund", state: "requested", error: null } }), [], "one request at a time");
});

test("a request shows its state until it is done", () => {
  assert.equal(requestText(order), "");
  assert.equal(requestText({ ...order, request: { kind: "refund", state: "requested", error: null } }), "Refund requested");
  assert.equal(requestText({ ...order, request: { kind: "cancel", state: "failed", error: "it is paid" } }), "Cancellation failed: it is paid");
  assert.equal(requestText({ ...order, request: { kind: "refund", state: "done", error: null } }), "");
});
