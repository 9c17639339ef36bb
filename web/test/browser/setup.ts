/** The demo and the browser of a test file: importing this module starts them before its tests. */

import { after } from "node:test";
import type { BrowserContextOptions } from "playwright-core";
import type { AdminSale } from "../../src/shared/api";
import { openBrowser, Visitor } from "./browser";
import { Demo } from "./demo";
import { ShopperPage } from "./shopper-page";

export const LIMIT = { timeout: 180_000 };

export const [demo, browser] = await Promise.all([Demo.start(), openBrowser()]);

after(async () => {
  await Promise.all([browser.close(), demo.stop()]);
}, LIMIT);

/** A new visitor on the page of a sale. */
export async function visit(sale: AdminSale, options?: BrowserContextOptions): Promise<{ visitor: Visitor; at: ShopperPage }> {
  const visitor = await Visitor.open(browser, options);
  return { visitor, at: new ShopperPage(await visitor.openTab(demo.pageUrl(sale))) };
}
