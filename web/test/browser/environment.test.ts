/** Conditions around a page: silent connections, hidden tabs, blocked cookies, a proxy. */

import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { chromium, type BrowserContextOptions, type Page } from "playwright-core";
import type { AdminSale } from "../../src/shared/api";
import { OPTIONS, PHONE, photograph, setVisibility, Visitor } from "./browser";
import { HttpProxy } from "./http-proxy";
import { Nginx } from "./nginx";
import { place, ScriptedLine } from "./scripted-line";
import { browser, demo, LIMIT, visit } from "./setup";
import { ShopperPage } from "./shopper-page";
import { TcpProxy } from "./tcp-proxy";
import { until } from "./until";

const SECOND_MS = 1_000;

test("a connection that falls silent is noticed within 30 seconds, and the place is kept", LIMIT, async () => {
  const sale = await demo.create();
  const proxy = await TcpProxy.start(demo.url);
  const visitor = await Visitor.open(browser, { viewport: PHONE });
  const at = new ShopperPage(await visitor.openTab(`${proxy.url}/sales/${sale.slug}`));
  await at.join();
  const ticket = await at.ticket();
  const frozenAtMs = Date.now();
  proxy.freeze();
  await at.trouble.filter({ hasText: "You keep your place" }).waitFor({ timeout: 40 * SECOND_MS });
  const noticedMs = Date.now() - frozenAtMs;
  assert.ok(noticedMs <= 30 * SECOND_MS, `noticed after ${noticedMs} ms`);
  await photograph(at.page, "half-open");
  proxy.thaw();
  await at.trouble.waitFor({ state: "hidden", timeout: 60 * SECOND_MS });
  assert.equal(await at.ticket(), ticket);
  // The turn arrives over the new connection.
  await demo.command(sale, "open");
  await at.heading("It’s your turn").waitFor();
  await visitor.close(/WebSocket connection/, /ERR_/);
  await proxy.stop();
});

/** Records the alerts of a page: titles, notifications and sounds. */
function recordAlerts(): void {
  const alerts: string[] = [];
  const title = new MutationObserver(() => { alerts.push(`title ${document.title}`); });
  title.observe(document, { subtree: true, childList: true, characterData: true });
  class RecordedNotification {
    static permission = "granted";
    constructor(text: string) { alerts.push(`notification ${text}`); }
    close(): void { alerts.push("notification closed"); }
  }
  class RecordedOscillator extends OscillatorNode {
    override start(when?: number): void {
      alerts.push("sound");
      super.start(when);
    }
  }
  Object.assign(globalThis, { alerts, Notification: RecordedNotification, OscillatorNode: RecordedOscillator });
}
const alertsOf = (page: Page): Promise<string[]> => page.evaluate(() => (globalThis as unknown as { alerts: string[] }).alerts);

/** A shopper whose turn has come while the tab is hidden. */
async function hiddenShopper(sale: AdminSale, options: BrowserContextOptions = {}): Promise<{ visitor: Visitor; at: ShopperPage; ticket: string }> {
  const visitor = await Visitor.open(browser, { viewport: PHONE, ...options });
  await visitor.context.addInitScript(recordAlerts);
  const at = new ShopperPage(await visitor.openTab(demo.pageUrl(sale)));
  await at.join();
  const ticket = await at.ticket();
  // Browsers allow sound only after a user gesture, such as this click.
  await at.page.locator("main h1").click();
  await setVisibility(at.page, "hidden");
  await demo.command(sale, "open");
  await until("an alert", async () => (await alertsOf(at.page)).some((alert) => alert.startsWith("title Your turn!")) || undefined);
  return { visitor, at, ticket };
}

test("the turn of a hidden tab is recalled like that of a closed one, and its shopper is alerted", LIMIT, async () => {
  const sale = await demo.create({ name: "Harbour mug", total: 3, claim_window_s: 5, token_ttl_s: 60 });
  const { visitor, at } = await hiddenShopper(sale);
  const other = await visit(sale);
  await until("the unclaimed turn to expire", async () => ((await demo.sale(sale)).promised === 0 ? true : undefined));
  await until("the title after the expiry", async () => (await at.page.title()).includes("you are next") || undefined);
  const alerts = await alertsOf(at.page);
  assert.ok(alerts.includes("notification Your turn! · Harbour mug"), alerts.join());
  assert.ok(alerts.includes("sound"), alerts.join());
  assert.ok(alerts.filter((alert) => alert.startsWith("title Your turn!")).length > 1, `the title flashes: ${alerts.join()}`);
  // A hidden tab does not delay the shoppers behind it.
  await other.at.button("Join the line").click();
  await other.at.heading("It’s your turn").waitFor();

  await setVisibility(at.page, "visible");
  await at.heading("It’s your turn").waitFor();
  await photograph(at.page, "hidden-and-back");
  await at.checkOut();
  await at.pay();
  await at.heading("Order confirmed").waitFor();
  assert.ok((await alertsOf(at.page)).includes("notification closed"));
  await visitor.close();
  await other.visitor.close();
});

test("a hidden tab that becomes visible in time keeps its turn, and with reduced motion no title flashes", LIMIT, async () => {
  const sale = await demo.create({ name: "Harbour mug", total: 1, claim_window_s: 30, token_ttl_s: 60 });
  const { visitor, at } = await hiddenShopper(sale, { reducedMotion: "reduce" });
  await setVisibility(at.page, "visible");
  await at.heading("It’s your turn").waitFor();
  assert.equal((await alertsOf(at.page)).filter((alert) => alert.startsWith("title Your turn! · ")).length, 1);
  await at.checkOut();
  await visitor.close();
});

/** Answers a page that requests the permission for notifications, and counts its requests. */
function answerPermission(answer: NotificationPermission): void {
  const notification = {
    permission: "default" as NotificationPermission,
    requests: 0,
    requestPermission(): Promise<NotificationPermission> {
      notification.requests += 1;
      notification.permission = answer;
      return Promise.resolve(answer);
    },
  };
  Object.assign(globalThis, { Notification: notification });
}

for (const [answer, text] of [["granted", "You will be notified when it’s your turn."], ["denied", "Your browser blocks notifications from this site."]] as const) {
  test(`a shopper who requests notifications is informed that they are ${answer}`, LIMIT, async () => {
    const sale = await demo.create();
    const visitor = await Visitor.open(browser, { viewport: PHONE });
    await visitor.context.addInitScript(answerPermission, answer);
    const at = new ShopperPage(await visitor.openTab(demo.pageUrl(sale)));
    await at.join();
    const requests = (): Promise<number> => at.page.evaluate(() => (Notification as unknown as { requests: number }).requests);
    assert.equal(await requests(), 0, "not before the shopper wants it");
    const notify = at.button("Notify me when it’s my turn");
    await notify.click();
    await at.page.locator("[data-announcer]").filter({ hasText: text }).waitFor({ state: "attached" });
    await notify.waitFor({ state: "hidden" });
    assert.equal(await requests(), 1);
    await visitor.close();
  });
}

/** Reports each display of a page to its server, and whether its cache restored it. */
function reportDisplays(): void {
  addEventListener("pageshow", ({ persisted }) => {
    const [navigation] = performance.getEntriesByType("navigation") as (PerformanceEntry & { notRestoredReasons?: unknown })[];
    const reasons = JSON.stringify(navigation?.notRestoredReasons ?? null);
    void fetch(`/displayed?${String(new URLSearchParams({ path: location.pathname, persisted: String(persisted), reasons }))}`);
  });
}

/**
 * Everything is observed at the server, since Playwright loses track of a page that the cache
 * restores. Chromium caches no page with `no-store` or a WebSocket: the proxy takes both away.
 */
test("a page that the browser restores from its back/forward cache reconnects", LIMIT, async () => {
  const sale = await demo.create();
  const displays: URLSearchParams[] = [];
  const proxy = await HttpProxy.start(demo.url, {
    answers: ({ url, headers }, response) => {
      const { pathname, searchParams } = new URL(url ?? "/", "http://localhost");
      if (pathname === "/displayed") displays.push(searchParams);
      else if (pathname !== "/elsewhere" && headers.accept !== "text/event-stream") return false;
      response.writeHead(200, { "content-type": "text/html", "cache-control": "no-cache" }).end("<!doctype html><title>Elsewhere</title><link rel=icon href=data:,>");
      return true;
    },
    headers: { "cache-control": "no-cache" },
    refusesSockets: true,
  });
  const cachingBrowser = await chromium.launch({ ...OPTIONS, ignoreDefaultArgs: ["--disable-back-forward-cache"] });
  const visitor = await Visitor.open(cachingBrowser, { viewport: PHONE });
  await visitor.context.addInitScript(reportDisplays);
  const path = `/sales/${sale.slug}`;
  const at = new ShopperPage(await visitor.openTab(proxy.url + path));
  await at.join();
  await at.page.goto(`${proxy.url}/elsewhere`);
  const before = proxy.refusedSockets;
  // The response may be lost with the page.
  at.page.evaluate(() => { history.back(); }).catch(() => undefined);
  const restored = await until("the page to be displayed again", () => displays.filter((display) => display.get("path") === path)[1]);
  assert.equal(restored.get("persisted"), "true", `not restored: ${restored.get("reasons") ?? ""}`);
  // It tries the best transport first, as a page that is new.
  await until("the page to reconnect", () => (proxy.refusedSockets > before ? true : undefined));
  await visitor.close(/WebSocket connection/, /ERR_/);
  await cachingBrowser.close();
  await proxy.stop();
});

/** Safari also caches pages with an open WebSocket, Chromium none: this event is synthetic. */
test("a page that was cached with an open WebSocket reconnects", LIMIT, async () => {
  const sale = await demo.create();
  const { visitor, at } = await visit(sale);
  const line = await ScriptedLine.install(at.page, sale, place({ place: 7 }));
  await at.button("Join the line").click();
  await at.heading("7 people ahead of you").waitFor();
  const before = line.connections.length;
  await at.page.evaluate(() => window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
  await until("the page to reconnect", () => (line.connections.length > before ? true : undefined));
  await visitor.close();
});

/** Runs a page in a browser that blocks all cookies. */
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

test("a browser that blocks cookies is warned before it joins", LIMIT, async () => {
  const sale = await demo.create({ total: 1 });
  await demo.command(sale, "open");
  await withoutCookies(async (page) => {
    await page.goto(demo.pageUrl(sale));
    const problem = page.getByRole("alert").filter({ hasText: "Cookies are blocked" });
    await problem.waitFor();
    await photograph(page, "no-cookies");
    await page.getByRole("button", { name: "Join the line" }).click();
    await problem.waitFor();
  });
  let refusal = { url: "", html: "" };
  await withoutCookies(async (page) => {
    await page.goto(demo.pageUrl(sale));
    for (let tries = 0; tries < 2; tries += 1) {
      await page.getByRole("button", { name: "Join the line" }).click();
      await page.getByRole("heading", { name: "Cookies are blocked" }).waitFor();
    }
    refusal = { url: page.url(), html: await page.content() };
  }, { javaScriptEnabled: false });
  // Axe is a script: it checks a copy of the page in a browser with JavaScript.
  const visitor = await Visitor.open(browser);
  const copy = await visitor.context.newPage();
  await copy.route(refusal.url, (route) => route.fulfill({ contentType: "text/html; charset=utf-8", body: refusal.html }));
  await copy.goto(refusal.url);
  await photograph(copy, "no-cookies-no-javascript");
  await visitor.close();
  const { waiting, promised } = await demo.sale(sale);
  assert.deepEqual([waiting, promised], [0, 0], "no place, and no unit promised");
});

test("behind a proxy that rewrites the host a page shows the cause at once", LIMIT, async () => {
  const sale = await demo.create();
  const nginx = await Nginx.start(demo.url);
  const visitor = await Visitor.open(browser, { viewport: PHONE });
  const at = new ShopperPage(await visitor.openTab(`${nginx.url}/sales/${sale.slug}`));
  await at.button("Join the line").click();
  await at.page.getByRole("alert").filter({ hasText: "FAIRLINE_PUBLIC_ORIGINS" }).waitFor({ timeout: 10 * SECOND_MS });
  await photograph(at.page, "origin-not-allowed");
  assert.equal((await demo.sale(sale)).waiting, 0, "no shopper has a place that could lapse");
  await visitor.close(/Unexpected response code: 403/, /status of 403/);
  await nginx.stop();
});
