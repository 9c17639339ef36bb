/**
 * Takes docs/screenshot.png, a shopper in line on a phone in front of the console, and
 * docs/console-*.png, the console before, during and after a rehearsal with 5,000 shoppers. Runs a
 * demo with the programs in `FAIRLINE_BIN` and `CHROMIUM`, as the tests do.
 */

import { writeFile } from "node:fs/promises";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { DESKTOP, openBrowser, PHONE } from "../test/browser/browser";
import { ConsolePage } from "../test/browser/console-page";
import { Demo } from "../test/browser/demo";
import { ShopperPage } from "../test/browser/shopper-page";
import { until } from "../test/browser/until";

const TARGET = "../docs/screenshot.png";
const WIDTH = 1500;
/** Pages are rendered at their size in the picture, so that no image is scaled. */
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

const UNITS = 1_500;
const SHOPPERS = 5_000;
const RUN_MS = 600_000;

/** Saves a screenshot of the console, scrolled to the top. */
async function photographConsole(at: ConsolePage, name: string): Promise<void> {
  await at.page.evaluate(() => { scrollTo(0, 0); });
  await at.page.screenshot({ path: `../docs/console-${name}.png` });
}

const [demo, browser] = await Promise.all([Demo.start(), openBrowser()]);
try {
  const next = new Date();
  next.setDate(next.getDate() + 7);
  next.setHours(10, 0, 0, 0);
  const sale = await demo.create({
    slug: "mug", name: "The Harbour Mug", total: UNITS, price_minor: 2_900, rate_cap_per_s: 20, token_ttl_s: 15, hold_s: 30, opens_at: next.toISOString(),
    description: "One thousand five hundred, glazed by hand.",
  });

  // Before: the form, filled with a copy of the sale.
  const at = await ConsolePage.open(browser, demo, "ada", "owner");
  const { page } = at;
  await page.setViewportSize(CONSOLE);
  await at.goTo(`#/new?copy=${sale.id}`);
  await page.getByRole("heading", { name: "Copy of The Harbour Mug" }).waitFor();
  const form = page.locator("#create");
  await form.getByLabel("Name", { exact: true }).fill("The Lighthouse Lamp");
  await form.getByLabel("URL slug").fill("lamp");
  await form.getByLabel("Text while waiting").fill("Every lamp ships before the first snow.");
  await form.getByLabel("Custom accent").check();
  await form.getByLabel("Accent colour", { exact: true }).fill("#7a0019");
  await photographConsole(at, "before");

  // During: a rehearsal that is paused, sends a message, and is sped up.
  await at.goTo(`#/sales/${sale.id}`);
  await page.getByLabel("Shoppers", { exact: true }).fill(String(SHOPPERS));
  await page.getByLabel("Arrival period (s)").fill("30");
  await page.getByLabel("Abandonment (%)").fill("10");
  await at.button("Start rehearsal").click();
  await at.answer("Start rehearsal");
  await page.getByRole("link", { name: "View copy" }).click();
  await page.getByRole("heading", { name: "Rehearsal of The Harbour Mug" }).waitFor();
  await until("most of the shoppers", async () => (await at.number("Waiting")) > SHOPPERS / 2 || undefined, RUN_MS);
  await at.button("Pause").click();
  await at.status("Paused").waitFor();
  await at.set("Message to waiting shoppers", "We are counting the mugs. You keep your place.");
  // The pause and the message take a few seconds of the charts.
  await page.waitForTimeout(5_000);
  await at.set("Maximum admissions per second", "40");
  await at.button("Resume").click();
  const copy = page.url().replace(/^.*#\/sales\//, "");
  const line = new ShopperPage(await open(browser, `${demo.url}/sales/rehearsal-${copy.replaceAll("-", "")}`, { viewport: PHONE, deviceScaleFactor: PHONE_SCALE }));
  await line.join();
  await until("half of the sale", async () => (await at.number("Sold")) > UNITS / 2 || undefined, RUN_MS);
  await photographConsole(at, "during");
  await line.page.reload();
  await line.page.locator("[data-text=wait]").filter({ hasText: /\S/ }).waitFor();
  const phone = await line.page.screenshot();
  const admin = await open(browser, demo.adminUrl, { viewport: CONSOLE, deviceScaleFactor: CONSOLE_SCALE, storageState: await at.visitor.context.storageState() });
  await admin.goto(`${demo.adminUrl}#/sales/${copy}`);
  await admin.reload();
  await admin.locator(".u-over").first().waitFor();
  await admin.waitForTimeout(2_000);
  await writeFile(TARGET, await compose(browser, await admin.screenshot(), phone));
  await line.page.close();

  // After: the report.
  await page.locator("[data-verdict]").filter({ hasText: "Passed: every promise was kept." }).waitFor({ timeout: RUN_MS });
  await page.getByRole("link", { name: "Rehearsal report" }).click();
  await page.getByText(/The record was replayed/).waitFor();
  await photographConsole(at, "after");
} finally {
  await Promise.all([browser.close(), demo.stop()]);
}
