/**
 * Makes docs/screenshot.png: a shopper in line on a phone, and the console, with a sale in full swing. Everything on it is
 * real: a demo of its own, and a crowd. `FAIRLINE_BIN` and `CHROMIUM` say where the programs are, as for the tests.
 */

import { writeFile } from "node:fs/promises";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { DESKTOP, openBrowser, PHONE } from "../test/browser/browser";
import { Shop } from "../test/browser/shop";
import { ShopperPage } from "../test/browser/shopper-page";
import { until } from "../test/browser/until";

const TARGET = "../docs/screenshot.png";
const WIDTH = 1500;
/** Pages are drawn as large as they stand in the picture, so that nothing is scaled afterwards. */
const CONSOLE_SCALE = 0.875;
const PHONE_SCALE = 0.86;
const CONSOLE = { width: DESKTOP.width, height: 960 };

async function open(browser: Browser, url: string, options: BrowserContextOptions): Promise<Page> {
  const page = await (await browser.newContext(options)).newPage();
  await page.goto(url);
  return page;
}

async function compose(browser: Browser, admin: Buffer, phone: Buffer): Promise<Buffer> {
  const page = await (await browser.newContext({ viewport: { width: WIDTH, height: 100 } })).newPage();
  const image = (png: Buffer, name: string): string => `<img class="${name}" alt="" src="data:image/png;base64,${png.toString("base64")}">`;
  await page.setContent(`<!doctype html><style>
    body { margin: 0; padding: 60px; background: linear-gradient(160deg, #dfe3f4, #efe6d8); position: relative; display: flow-root }
    img { display: block; border-radius: 14px; box-shadow: 0 0 0 1px #0000001a, 0 24px 60px -20px #1a1d2559 }
    .phone { position: absolute; right: 60px; bottom: 60px; border-radius: 30px; outline: 9px solid #191b22 }
    .console { margin-bottom: 40px }
    </style>${image(admin, "console")}${image(phone, "phone")}`);
  return page.screenshot({ fullPage: true });
}

const [shop, browser] = await Promise.all([Shop.start(), openBrowser()]);
try {
  const next = new Date();
  next.setDate(next.getDate() + 7);
  next.setHours(10, 0, 0, 0);
  await shop.create({ slug: "lamp", name: "The Lighthouse Lamp", total: 80, price_minor: 12_900, opens_at: next.toISOString() });
  const sale = await shop.create({ slug: "mug", name: "The Harbour Mug", total: 400, price_minor: 2_900, rate_cap_per_s: 5, hold_s: 60 });

  const page = await open(browser, shop.adminUrl, { viewport: CONSOLE, deviceScaleFactor: CONSOLE_SCALE });
  await page.getByLabel("Admin token").fill(shop.adminToken);
  await page.getByRole("button", { name: "Sign in" }).click();

  // The crowd is still there when the picture is taken; it goes with the shop.
  shop.rush(sale, 400).catch(() => undefined);
  await until("the crowd to come", async () => (await shop.look(sale)).waiting >= 250 || undefined);
  const at = new ShopperPage(await open(browser, `${shop.url}/sales/${sale.slug}`, { viewport: PHONE, deviceScaleFactor: PHONE_SCALE }));
  await at.join();
  await shop.command(sale, "open");
  await shop.change(sale, { message: "All mugs ship on Monday." });
  await until("a third of the sale", async () => (await shop.look(sale)).sold >= sale.total / 3 || undefined, 120_000);
  // Whoever has just come back sees the newest place, at once.
  await at.page.reload();
  await at.page.locator("[data-text=wait]").filter({ hasText: /\d/ }).waitFor();

  const [phone, admin] = await Promise.all([at.page.screenshot(), page.screenshot()]);
  await writeFile(TARGET, await compose(browser, admin, phone));
} finally {
  await Promise.all([browser.close(), shop.stop()]);
}
