/** What the real world does to a page: connections that die without a word, tabs that nobody sees, cookies that are blocked. */

import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";
import type { AdminSale } from "../../src/shared/api";
import { OPTIONS, openBrowser, PHONE, photograph, Visitor } from "./browser";
import { Nginx } from "./nginx";
import { place, PlayedLine } from "./played-line";
import { Relay } from "./relay";
import { Shop } from "./shop";
import { ShopperPage } from "./shopper-page";
import { until } from "./until";

const LIMIT = { timeout: 180_000 };
const SECOND_MS = 1_000;

let shop: Shop;
let browser: Browser;

before(async () => {
  [shop, browser] = await Promise.all([Shop.start(), openBrowser()]);
}, LIMIT);

after(async () => {
  await Promise.all([browser.close(), shop.stop()]);
}, LIMIT);

/** Makes the page believe that its tab is hidden or visible. */
async function setVisibility(page: Page, state: "visible" | "hidden"): Promise<void> {
  await page.evaluate((state) => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
}

test("a connection that dies without a word is noticed within 30 seconds, and the place is kept", LIMIT, async () => {
  const sale = await shop.create();
  const relay = await Relay.open(shop.url);
  const visitor = await Visitor.come(browser, { viewport: PHONE });
  const at = new ShopperPage(await visitor.openTab(`${relay.url}/sales/${sale.slug}`));
  await at.join();
  const ticket = await at.ticket();
  const frozenAtMs = Date.now();
  relay.freeze();
  await at.trouble.filter({ hasText: "You keep your place" }).waitFor({ timeout: 40 * SECOND_MS });
  const noticedMs = Date.now() - frozenAtMs;
  assert.ok(noticedMs <= 30 * SECOND_MS, `noticed after ${noticedMs} ms`);
  await photograph(at.page, "half-open");
  relay.thaw();
  await at.trouble.waitFor({ state: "hidden", timeout: 60 * SECOND_MS });
  assert.equal(await at.ticket(), ticket);
  // And hears of the turn over the new one.
  await shop.command(sale, "open");
  await at.heading("It’s your turn").waitFor();
  await visitor.go(/WebSocket connection/, /ERR_/);
  await relay.close();
});

/** Notes what calls a shopper who does not look. */
function noteCalls(): void {
  const calls: string[] = [];
  const title = new MutationObserver(() => { calls.push(`title ${document.title}`); });
  title.observe(document, { subtree: true, childList: true, characterData: true });
  class Noted {
    static permission = "granted";
    constructor(text: string) { calls.push(`notification ${text}`); }
    close(): void { calls.push("notification closed"); }
  }
  class Note extends OscillatorNode {
    override start(when?: number): void {
      calls.push("sound");
      super.start(when);
    }
  }
  Object.assign(globalThis, { calls, Notification: Noted, OscillatorNode: Note });
}
const callsOf = (page: Page): Promise<string[]> => page.evaluate(() => (globalThis as unknown as { calls: string[] }).calls);

/** A shopper in a hidden tab whose turn has come. */
async function hidden(sale: AdminSale, options: BrowserContextOptions = {}): Promise<{ visitor: Visitor; at: ShopperPage; ticket: string }> {
  const visitor = await Visitor.come(browser, { viewport: PHONE, ...options });
  await visitor.context.addInitScript(noteCalls);
  const at = new ShopperPage(await visitor.openTab(`${shop.url}/sales/${sale.slug}`));
  await at.join();
  const ticket = await at.ticket();
  // A click that changes nothing: browsers let a page be heard once somebody has used it.
  await at.page.locator("main h1").click();
  await setVisibility(at.page, "hidden");
  await shop.command(sale, "open");
  await until("the call", async () => (await callsOf(at.page)).some((call) => call.startsWith("title Your turn!")) || undefined);
  return { visitor, at, ticket };
}

test("a hidden tab's turn is recalled as a closed one's, and its shopper is called", LIMIT, async () => {
  const sale = await shop.create({ name: "Harbour mug", total: 3, claim_window_s: 3, token_ttl_s: 12 });
  const { visitor, at } = await hidden(sale);
  const other = new ShopperPage(await (await Visitor.come(browser)).openTab(`${shop.url}/sales/${sale.slug}`));
  await until("the unclaimed turn to lapse", async () => ((await shop.sale(sale)).promised === 0 ? true : undefined));
  await until("the title to say so", async () => (await at.page.title()).includes("you are next") || undefined);
  const calls = await callsOf(at.page);
  assert.ok(calls.includes("notification Your turn! · Harbour mug"), calls.join());
  assert.ok(calls.includes("sound"), calls.join());
  assert.ok(calls.filter((call) => call.startsWith("title Your turn!")).length > 1, `it flashes: ${calls.join()}`);
  // Others go on meanwhile: nothing is held up by a tab that nobody sees.
  await other.button("Join the line").click();
  await other.heading("It’s your turn").waitFor();

  await setVisibility(at.page, "visible");
  await at.heading("It’s your turn").waitFor();
  await photograph(at.page, "hidden-and-back");
  await at.checkOut();
  await at.pay();
  await at.heading("Order confirmed").waitFor();
  assert.ok((await callsOf(at.page)).includes("notification closed"));
  await visitor.go();
  await other.page.context().close();
});

test("a hidden tab that is seen in time keeps its turn, and nothing flashes for those who ask for no motion", LIMIT, async () => {
  const sale = await shop.create({ name: "Harbour mug", total: 1, claim_window_s: 30, token_ttl_s: 40 });
  const { visitor, at } = await hidden(sale, { reducedMotion: "reduce" });
  await setVisibility(at.page, "visible");
  await at.heading("It’s your turn").waitFor();
  assert.equal((await callsOf(at.page)).filter((call) => call.startsWith("title Your turn! · ")).length, 1);
  await at.checkOut();
  await visitor.go();
});

test("a page out of the back/forward cache asks anew what is so", LIMIT, async () => {
  const sale = await shop.create();
  const visitor = await Visitor.come(browser);
  const at = new ShopperPage(await visitor.openTab(`${shop.url}/sales/${sale.slug}`));
  const line = await PlayedLine.play(at.page, sale, place({ place: 7 }));
  await at.button("Join the line").click();
  await at.heading("7 people ahead of you").waitFor();
  const visits = line.visits.length;
  await at.page.evaluate(() => window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
  await until("the page to reconnect", () => (line.visits.length > visits ? true : undefined));
  await visitor.go();
});

/** A browser that blocks all cookies. */
async function withoutCookies(run: (page: Page) => Promise<void>, options: BrowserContextOptions = {}): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "fairline-no-cookies-"));
  await mkdir(join(folder, "Default"), { recursive: true });
  await writeFile(join(folder, "Default/Preferences"), JSON.stringify({ profile: { default_content_setting_values: { cookies: 2 } } }));
  const context = await chromium.launchPersistentContext(folder, { ...OPTIONS, viewport: PHONE, ...options });
  try {
    await run(await context.newPage());
  } finally {
    await context.close();
    await rm(folder, { recursive: true, force: true });
  }
}

test("a browser that keeps no cookies is told so before it joins", LIMIT, async () => {
  const sale = await shop.create({ total: 1 });
  await shop.command(sale, "open");
  await withoutCookies(async (page) => {
    await page.goto(`${shop.url}/sales/${sale.slug}`);
    const problem = page.getByRole("alert").filter({ hasText: "Cookies are blocked" });
    await problem.waitFor();
    await photograph(page, "no-cookies");
    await page.getByRole("button", { name: "Join the line" }).click();
    await problem.waitFor();
  });
  let refusal = { url: "", html: "" };
  await withoutCookies(async (page) => {
    await page.goto(`${shop.url}/sales/${sale.slug}`);
    for (let tries = 0; tries < 2; tries += 1) {
      await page.getByRole("button", { name: "Join the line" }).click();
      await page.getByRole("heading", { name: "Cookies are blocked" }).waitFor();
    }
    refusal = { url: page.url(), html: await page.content() };
  }, { javaScriptEnabled: false });
  // What finds barriers is a script.
  const visitor = await Visitor.come(browser);
  const twin = await visitor.context.newPage();
  await twin.route(refusal.url, (route) => route.fulfill({ contentType: "text/html; charset=utf-8", body: refusal.html }));
  await twin.goto(refusal.url);
  await photograph(twin, "no-cookies-no-javascript");
  await visitor.go();
  const { waiting, promised } = await shop.sale(sale);
  assert.deepEqual([waiting, promised], [0, 0], "no place, and no unit promised");
});

test("behind a proxy that rewrites the host a page says at once what is wrong", LIMIT, async () => {
  const sale = await shop.create();
  const nginx = await Nginx.start(shop.url);
  const visitor = await Visitor.come(browser, { viewport: PHONE });
  const at = new ShopperPage(await visitor.openTab(`${nginx.url}/sales/${sale.slug}`));
  await at.button("Join the line").click();
  await at.page.getByRole("alert").filter({ hasText: "FAIRLINE_PUBLIC_ORIGINS" }).waitFor({ timeout: 10 * SECOND_MS });
  await photograph(at.page, "foreign-origin");
  assert.equal((await shop.sale(sale)).waiting, 0, "no shopper has a place that could lapse");
  await visitor.go(/Unexpected response code: 403/, /status of 403/);
  await nginx.stop();
});
