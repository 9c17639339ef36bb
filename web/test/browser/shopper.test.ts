import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { Browser, BrowserContextOptions } from "playwright-core";
import type { AdminSale } from "../../src/shared/api";
import { openBrowser, PHONE, photograph, Visitor } from "./browser";
import { Shop } from "./shop";
import { ShopperPage } from "./shopper-page";
import { until } from "./until";

const LIMIT = { timeout: 180_000 };
/** Those ahead take their turns first, ten a second at most. */
const TURN_WITHIN_MS = 60_000;
/** What the browser says by itself when a test takes the network away, or the bank says no. */
const OFFLINE = /ERR_INTERNET_DISCONNECTED|ERR_NETWORK_CHANGED/;
const DECLINED = /status of 402/;

let shop: Shop;
let browser: Browser;

before(async () => {
  [shop, browser] = await Promise.all([Shop.start(), openBrowser()]);
}, LIMIT);

after(async () => {
  await Promise.all([browser.close(), shop.stop()]);
}, LIMIT);

async function visit(sale: AdminSale, options?: BrowserContextOptions): Promise<{ visitor: Visitor; at: ShopperPage }> {
  const visitor = await Visitor.come(browser, options);
  return { visitor, at: new ShopperPage(await visitor.openTab(address(sale))) };
}

const address = (sale: AdminSale): string => `${shop.url}/sales/${sale.slug}`;

test("one shopper buys while 200 compete; a reload, a second tab and a closed laptop keep the place", LIMIT, async () => {
  const sale = await shop.create({ name: "Harbour mug", total: 100, rate_cap_per_s: 10, token_ttl_s: 20, claim_window_s: 5, hold_s: 30 });
  // Who joins with more people ahead than there are units waits for others to give up. The page is there before the crowd is.
  const { visitor, at } = await visit(sale);
  const report = shop.rush(sale, 200);
  await until("the crowd to come", async () => (await shop.sale(sale)).waiting >= 20 || undefined);
  await at.join();
  const ticket = await at.ticket();
  assert.match((await at.ahead.textContent()) ?? "", /^\d+ people ahead of you$/);
  await photograph(at.page, "waiting");

  await at.page.reload();
  assert.equal(await at.ticket(), ticket, "after a reload");

  const second = new ShopperPage(await visitor.openTab(address(sale)));
  assert.equal(await second.ticket(), ticket, "in a second tab");

  await visitor.context.setOffline(true);
  await at.trouble.filter({ hasText: "You keep your place" }).waitFor();
  assert.equal(await at.ticket(), ticket, "while the laptop is closed");
  await photograph(at.page, "connection-lost");
  await visitor.context.setOffline(false);
  await at.trouble.waitFor({ state: "hidden" });
  assert.equal(await at.ticket(), ticket, "after the laptop was closed");

  await shop.command(sale, "open");
  await at.heading("It’s your turn").waitFor({ timeout: TURN_WITHIN_MS });
  await second.heading("It’s your turn").waitFor();
  assert.match(await at.page.title(), /^Your turn!/);
  await photograph(at.page, "turn");

  await at.checkOut();
  await second.heading("Checkout").waitFor();
  await at.pay("Declined");
  await at.page.getByRole("alert").filter({ hasText: "declined" }).waitFor();
  await photograph(at.page, "declined");
  await at.pay("Approved");
  await at.heading("Order confirmed").waitFor();
  const order = (await at.page.locator("[data-text=order]").textContent()) ?? "";
  await photograph(at.page, "bought");

  await at.page.reload();
  await at.heading("Order confirmed").waitFor();
  assert.equal(await at.page.locator("[data-text=order]").textContent(), order, "after a reload");
  await second.page.bringToFront();
  await second.page.reload();
  await second.heading("Order confirmed").waitFor();
  await visitor.go(OFFLINE, DECLINED);

  const { ok, shoppers, sold, unresolved, database } = await report;
  assert.deepEqual({ ok, shoppers, sold, unresolved, others: database.orders_of_others }, { ok: true, shoppers: 200, sold: 100, unresolved: 0, others: 1 });
});

test("where WebSockets are blocked, the line comes as Server-Sent Events", LIMIT, async () => {
  const sale = await shop.create();
  const { visitor, at } = await visit(sale);
  await at.page.routeWebSocket(/\/line/, (socket) => { void socket.close({ code: 1011 }); });
  const events = at.page.waitForResponse((response) => response.headers()["content-type"]?.startsWith("text/event-stream") ?? false);
  await at.join();
  assert.equal((await events).status(), 200);
  const ticket = await at.ticket();
  await at.page.reload();
  assert.equal(await at.ticket(), ticket);
  await shop.command(sale, "open");
  await at.checkOut();
  await at.pay();
  await at.heading("Order confirmed").waitFor();
  await visitor.go();
});

test("where both are blocked, the page asks again and again", LIMIT, async () => {
  const sale = await shop.create();
  const visitor = await Visitor.come(browser);
  await visitor.context.addInitScript("delete globalThis.WebSocket");
  await visitor.context.route(/\/line(\?|$)/, (route, request) => (request.headers().accept === "text/event-stream" ? route.abort() : route.fallback()));
  const at = new ShopperPage(await visitor.openTab(address(sale)));
  await at.join();
  const ticket = await at.ticket();
  await at.page.reload();
  assert.equal(await at.ticket(), ticket);
  await shop.command(sale, "open");
  await at.checkOut();
  await at.pay();
  await at.heading("Order confirmed").waitFor();
  await visitor.go(/ERR_FAILED/);
});

test("without JavaScript the line is a page that looks again by itself", LIMIT, async () => {
  const sale = await shop.create();
  const first = await visit(sale);
  await first.at.join();

  const { visitor, at } = await visit(sale, { javaScriptEnabled: false });
  await at.button("Join the line").click();
  await at.heading("1 person ahead of you").waitFor();
  const again = await at.page.goto(`${address(sale)}/line`);
  assert.match(again?.headers().refresh ?? "", /^\d+/);
  await at.heading("1 person ahead of you").waitFor();

  await first.at.button("Leave the line").click();
  await first.at.page.getByRole("dialog").getByRole("button", { name: "Leave", exact: true }).click();
  await first.at.heading("You left the line").waitFor();
  await photograph(first.at.page, "left");
  await at.heading("You are at the front of the line").waitFor();

  await shop.command(sale, "open");
  await at.heading("It’s your turn").waitFor();
  await visitor.go();
  await first.visitor.go();
});

/**
 * Looks at a page without JavaScript once it says so: at a twin of it in a browser that has it, since axe needs timers. The page's own
 * scripts are left out, and what is for those without JavaScript is shown.
 */
async function photographLine(at: ShopperPage, says: string | RegExp, name: string, accent?: string): Promise<void> {
  await at.heading(says).waitFor();
  const body = (await at.page.content()).replace(/<script[^]*?<\/script>|<\/?noscript>/g, "");
  const twin = await Visitor.come(browser);
  const page = await twin.context.newPage();
  await page.route(at.page.url(), (route) => route.fulfill({ contentType: "text/html; charset=utf-8", body }));
  await page.goto(at.page.url());
  await new ShopperPage(page).heading(says).waitFor();
  if (accent !== undefined) {
    assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue("--accent").trim()), accent);
  }
  await photograph(page, `without-javascript-${name}`);
  await twin.go();
}

const WITHOUT = { javaScriptEnabled: false };
const LOOK = { accent: "#7a0019", waiting_text: "Tea is ready.", turn_text: "Mind the step.", sold_out_text: "All gone." };

test("without JavaScript every page says what is so, in the colours of the sale, and keeps nobody out", LIMIT, async () => {
  const sale = await shop.create({ total: 1, token_ttl_s: 120, look: LOOK });
  const buyer = await visit(sale, WITHOUT);
  await photographLine(buyer.at, "Opens soon", "outside");
  await buyer.at.button("Join the line").click();
  await buyer.at.heading("You are at the front of the line").waitFor();
  const other = await visit(sale, WITHOUT);
  await other.at.button("Join the line").click();
  await shop.change(sale, { message: "Back soon." });
  await other.at.page.getByText("Back soon.").waitFor();
  await other.at.page.getByText("Tea is ready.").waitFor();
  await photographLine(other.at, "1 person ahead of you", "scheduled", LOOK.accent);

  await shop.command(sale, "open");
  await buyer.at.page.getByText("Mind the step.").waitFor();
  await buyer.at.page.getByRole("link", { name: "Continue" }).click();
  await buyer.at.page.getByRole("link", { name: "Go to checkout" }).waitFor();
  await photographLine(buyer.at, "It’s your turn", "turn", LOOK.accent);
  await shop.command(sale, "pause");
  await other.at.page.getByText("The sale is paused.").waitFor();
  await photographLine(other.at, "You are at the front of the line", "paused");
  await shop.removeTicket(sale, "2");
  await photographLine(other.at, "The shop removed you from the line", "removed");
  await other.at.button("Join again").click();
  await other.at.heading("You are at the front of the line").waitFor();


  // With JavaScript it can be bought; the page without it says that it was.
  const scripted = await Visitor.come(browser, { storageState: await buyer.visitor.context.storageState() });
  const till = new ShopperPage(await scripted.openTab(address(sale)));
  await till.checkOut();
  await till.pay();
  await till.heading("Order confirmed").waitFor();
  await scripted.go();
  await photographLine(buyer.at, "You have already used your turn", "bought");
  await shop.command(sale, "resume");
  await other.at.page.getByText("All gone.").waitFor();
  await photographLine(other.at, "Sold out", "sold-out");
  await buyer.at.page.goto(address(sale));
  await photographLine(buyer.at, "Finding your place", "joined");
  await buyer.visitor.go();
  await other.visitor.go();
});

test("without JavaScript a turn runs out, a sale closes, a draw waits, and a lane asks for an invitation", LIMIT, async () => {
  const sale = await shop.create({ token_ttl_s: 4, claim_window_s: 4 });
  const { visitor, at } = await visit(sale, WITHOUT);
  await at.button("Join the line").click();
  await shop.command(sale, "open");
  await at.page.getByRole("link", { name: "Continue" }).click();
  await photographLine(at, "Your turn has expired", "run-out");
  await shop.command(sale, "pause");
  await at.button("Join again").click();
  await at.heading("You are at the front of the line").waitFor();
  await shop.command(sale, "close");
  await photographLine(at, "The sale is closed", "closed");
  await visitor.go();

  const drawn = await shop.create({ order: "draw", look: LOOK });
  const inDraw = await visit(drawn, WITHOUT);
  await inDraw.at.button("Join the line").click();
  await inDraw.at.page.getByText("Tea is ready.").waitFor();
  await photographLine(inDraw.at, /in the draw, including you/, "draw");
  await inDraw.visitor.go();

  const uninvited = await Visitor.come(browser);
  const lane = new ShopperPage(await uninvited.openTab(await shop.addLane(await shop.create(), "vip")));
  await lane.page.getByLabel("Invitation code").waitFor();
  await photograph(lane.page, "not-invited");
  await lane.page.getByLabel("Invitation code").fill("nonsense");
  await lane.button("Continue").click();
  await lane.page.getByText("This invitation is not valid for this line.").waitFor();
  await photograph(lane.page, "no-invitation");
  await uninvited.go();
});

test("the keyboard is enough", LIMIT, async () => {
  const sale = await shop.create({ per_shopper_limit: 3 });
  const { visitor, at } = await visit(sale);
  const { keyboard } = at.page;
  const focused = (): Promise<string | undefined> => at.page.evaluate(() => document.activeElement?.textContent.trim());
  const tabTo = async (name: RegExp): Promise<void> => {
    for (let steps = 0; !name.test((await focused()) ?? ""); steps += 1) {
      assert.ok(steps < 20, `nothing called ${String(name)} can be reached with the keyboard; the focus is on ${String(await focused())}`);
      await keyboard.press("Tab");
    }
  };

  await keyboard.press("Tab");
  assert.equal(await focused(), "Skip to content");
  await tabTo(/^Join the line$/);
  await keyboard.press("Enter");
  await at.ahead.waitFor();
  assert.match((await focused()) ?? "", /front of the line/, "the focus follows the shopper into the line");
  await tabTo(/^Leave the line$/);
  await keyboard.press("Enter");
  await at.heading("Leave the line?").waitFor();
  await keyboard.press("Escape");
  await at.heading("Leave the line?").waitFor({ state: "hidden" });

  await shop.command(sale, "open");
  await at.heading("It’s your turn").waitFor();
  assert.equal(await focused(), "It’s your turn");
  await tabTo(/^Go to checkout$/);
  await keyboard.press("Enter");
  await at.heading("Checkout").waitFor();
  assert.equal(await focused(), "Checkout");
  await keyboard.press("Tab");
  await keyboard.press("ArrowDown");
  await keyboard.press("ArrowDown");
  await tabTo(/^Pay €49.00$/);
  await keyboard.press("Enter");
  await at.heading("Order confirmed").waitFor();
  assert.match((await focused()) ?? "", /^Order confirmed$/);
  await visitor.go();
});

test("a bank that asks first leaves the payment pending, and then done", LIMIT, async () => {
  const sale = await shop.create();
  const { visitor, at } = await visit(sale);
  await at.join();
  await shop.command(sale, "open");
  await at.checkOut();
  await at.pay("Needs authentication");
  await at.heading("Payment pending").waitFor();
  await photograph(at.page, "pending");
  await at.page.reload();
  await at.heading("Order confirmed").waitFor();
  await visitor.go();
});

test("whoever lets the turn or the hold run out is told, and may join again", LIMIT, async () => {
  const sale = await shop.create({ token_ttl_s: 4, claim_window_s: 4, hold_s: 3 });
  const { visitor, at } = await visit(sale);
  await at.join();
  const ticket = await at.ticket();
  await shop.command(sale, "open");
  await at.heading("Your turn has expired").waitFor();
  await photograph(at.page, "turn-run-out");
  await shop.command(sale, "pause");
  await at.button("Join again").click();
  assert.notEqual(await at.ticket(), ticket, "the place was given up with the turn");
  await shop.command(sale, "resume");
  await at.checkOut();
  await at.heading("Your reservation has expired").waitFor();
  await photograph(at.page, "hold-run-out");
  await visitor.go();
});

test("whoever does not want it any more gives it back, and the next one has it", LIMIT, async () => {
  const sale = await shop.create({ total: 1 });
  const [first, next] = [await visit(sale), await visit(sale)];
  await first.at.join();
  await next.at.join();
  await shop.command(sale, "open");
  await first.at.checkOut();
  await photograph(first.at.page, "checkout");
  const dialog = first.at.page.getByRole("dialog");
  await first.at.button("Cancel order").click();
  await first.at.heading("Cancel this order?").waitFor();
  await photograph(first.at.page, "give-back");
  await dialog.getByRole("button", { name: "Keep order" }).click();
  await first.at.button("Cancel order").click();
  await dialog.getByRole("button", { name: "Cancel order" }).click();
  await first.at.heading("Order cancelled").waitFor();
  await photograph(first.at.page, "given-back");
  await first.at.page.reload();
  await first.at.heading("Order cancelled").waitFor();
  await next.at.checkOut();
  await next.at.pay();
  await next.at.heading("Order confirmed").waitFor();
  const late = await visit(sale);
  await late.at.heading("Sold out").waitFor();
  await photograph(late.at.page, "sold-out");
  await late.visitor.go();
  await first.visitor.go();
  await next.visitor.go();
});

test("the status of the sale and the shop's words reach everybody, in line or not", LIMIT, async () => {
  // So slow that nobody is let in between the opening and the pause.
  const sale = await shop.create({ name: '<img src="x" onerror="alert(1)"> & co', rate_cap_per_s: 0.01 });
  const waiting = await visit(sale, { viewport: PHONE });
  await photograph(waiting.at.page, "outside-scheduled");
  await waiting.at.join();
  await waiting.at.page.getByText("The sale has not opened yet.").waitFor();
  const watching = await visit(sale);
  assert.equal(await watching.at.page.locator("h1").textContent(), '<img src="x" onerror="alert(1)"> & co');

  await shop.command(sale, "open");
  await shop.command(sale, "pause");
  await shop.change(sale, { message: "Back <b>soon</b>." });
  for (const { at } of [waiting, watching]) {
    await at.page.getByText("Paused", { exact: true }).waitFor();
    await at.page.getByText("Back <b>soon</b>.").waitFor();
  }
  await photograph(waiting.at.page, "waiting-paused");
  await photograph(watching.at.page, "outside-paused");
  await shop.command(sale, "resume");
  await watching.at.page.getByText("Open", { exact: true }).waitFor();
  await photograph(watching.at.page, "outside-open");
  await shop.command(sale, "close");
  for (const { at } of [waiting, watching]) await at.heading("The sale is closed").waitFor();
  await photograph(waiting.at.page, "closed");
  await waiting.visitor.go();
  await watching.visitor.go();
});

test("nothing moves for those who ask for no motion, and the dark suits the dark", LIMIT, async () => {
  const sale = await shop.create();
  const { visitor, at } = await visit(sale, { reducedMotion: "reduce", colorScheme: "dark" });
  await at.join();
  await photograph(at.page, "waiting-dark");
  await shop.command(sale, "open");
  await at.checkOut();
  await at.pay("Needs authentication");
  await at.heading("Payment pending").waitFor();
  assert.equal(await at.page.evaluate(() => document.getAnimations().length), 0);
  await at.heading("Order confirmed").waitFor();
  await visitor.go();
});

test("the list of sales, and a page that is not there", LIMIT, async () => {
  const sale = await shop.create({ name: "Listed lamp" });
  const visitor = await Visitor.come(browser);
  const page = await visitor.openTab(shop.url);
  await photograph(page, "home");
  await page.getByRole("link", { name: sale.name }).click();
  await page.waitForURL(address(sale));
  await page.goto(`${shop.url}/sales/no-such-sale`);
  await page.getByRole("link", { name: "View all sales" }).waitFor();
  await photograph(page, "not-found");
  await visitor.go(/status of 404/);
});

test("the page as it is served allows nothing but its own, and is small", LIMIT, async () => {
  const sale = await shop.create();
  const response = await fetch(address(sale));
  const policy = response.headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'self'/);
  assert.doesNotMatch(policy, /unsafe|script-src|style-src/);
  const html = await response.text();
  const assets = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+\.(?:js|css))"/g)].map(([, path]) => path ?? "");
  assert.equal(assets.length, 2);
  const parts = await Promise.all(assets.map(async (path) => Buffer.from(await (await fetch(shop.url + path)).arrayBuffer())));
  const sizes = [Buffer.from(html), ...parts].map((part) => gzipSync(part).length);
  assert.ok(sizes.reduce((sum, size) => sum + size) <= 17_000, `compressed with gzip: ${sizes.join(" + ")} B`);
});
