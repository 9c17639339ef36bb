/** Samples of API objects. */

import type { Order, PlaceMessage, SaleCard, TurnMessage } from "../../src/shared/api";

export const NOW_MS = Date.parse("2026-11-27T09:00:00Z");

export const sale: SaleCard = {
  id: "6f9a1f3e-0000-4000-8000-000000000001",
  slug: "lamp",
  name: "Brass lamp",
  description: "A lamp.",
  price_minor: 4_900,
  currency: "EUR",
  per_shopper_limit: 1,
  rate_cap_per_s: 10,
  total: 100,
  remaining: 60,
  status: "open",
  opens_at: "2026-11-27T08:59:00Z",
  ends_at: null,
  message: null,
};

export const place: PlaceMessage = {
  type: "place",
  ordinal: 42,
  place: 17,
  behind: 120,
  recalled: 0,
  rate_per_s: 1,
  wait: { likely_s: [20, 40], bounds_s: [10, 90] },
  beyond_stock: false,
  remaining: 60,
};

export const turn: TurnMessage = {
  type: "turn",
  token: "a.b.c",
  expires_at: "2026-11-27T09:02:00Z",
  claim_by: "2026-11-27T09:00:15Z",
  quantity: 1,
};

export const order: Order = {
  id: "6f9a1f3e-0000-4000-8000-00000000000a",
  sale_id: sale.id,
  status: "held",
  quantity: 1,
  amount_minor: 4_900,
  currency: "EUR",
  refunded_minor: 0,
  hold_expires_at: "2026-11-27T09:05:00Z",
  paid_at: null,
  created_at: "2026-11-27T09:00:00Z",
};
