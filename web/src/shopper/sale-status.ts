/** Follows the sale's public status, which caches well, for shoppers outside the line. */

import type { SaleCard } from "../shared/api";
import { request } from "../shared/http";
import { pause } from "./checkout";
import type { Page } from "./page";
import { followsStatus } from "./state";

const STATUS_EVERY_MS = 5_000;

export async function watchStatus(page: Page, saleId: string, atLeastMs = 0): Promise<void> {
  await pause(atLeastMs + STATUS_EVERY_MS * (0.75 + Math.random() / 2));
  await pageIsVisible();
  let waitMs: number | undefined;
  if (followsStatus(page.phase)) {
    const answer = await request<SaleCard>(`/api/flash-sales/${saleId}/status`, { cache: "default" });
    if (answer.kind === "ok") page.dispatch({ type: "sale", sale: answer.body });
    if (answer.kind === "failed") waitMs = answer.atLeastMs;
  }
  void watchStatus(page, saleId, waitMs);
}

function pageIsVisible(): Promise<void> {
  return new Promise((resolve) => {
    if (document.visibilityState === "visible") resolve();
    else document.addEventListener("visibilitychange", () => { resolve(pageIsVisible()); }, { once: true });
  });
}
