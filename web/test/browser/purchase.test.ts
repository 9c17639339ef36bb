/** From the line to an order. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { photograph, Visitor } from "./browser";
import { browser, demo, LIMIT, visit } from "./setup";
import { ShopperPage } from "./shopper-page";
import { until } from "./until";

/** Up to 100 shoppers ahead get their turns first, ten a second. */
const TURN_WITHIN_MS = 60_000;
/** Errors that a browser logs without a network, and for a declined payment. */
const OFFLINE = /ERR_INTERNET_DISCONNECTED|ERR_NETWORK_CHANGED/;
const DECLINED = /status of 402/;

test("one shopper buys while 200 compete; a reload, a second tab and a lost network keep the place", LIMIT, async () => {
  const sale = await demo.create({ name: "Harbour mug", total: 100, rate_cap_per_s: 10, token_ttl_s: 30, claim_window_s: 5, hold_s: 40 });
  // The page is loaded before the rush, so that fewer shoppers are ahead than there are units.
  const { visitor, at } = await visit(sale);
  const report = demo.rush(sale, 200);
  await until("the first shoppers", async () => (await demo.sale(sale)).waiting >= 20 || undefined);
  await at.join();
  const ticket = await at.ticket();
  assert.match((await at.ahead.textContent()) ?? "", /^\d+ people ahead of you$/);
  await photograph(at.page, "waiting");

  await at.page.reload();
  assert.equal(await at.ticket(), ticket, "after a reload");

  const second = new ShopperPage(await visitor.openTab(demo.pageUrl(sale)));
  assert.equal(await second.ticket(), ticket, "in a second tab");

  await visitor.context.setOffline(true);
  await at.trouble.filter({ hasText: "You keep your place" }).waitFor();
  assert.equal(await at.ticket(), ticket, "without a network");
  await photograph(at.page, "connection-lost");
  await visitor.context.setOffline(false);
  await at.trouble.waitFor({ state: "hidden" });
  assert.equal(await at.ticket(), ticket, "after the network is back");

  await demo.command(sale, "open");
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
  await visitor.close(OFFLINE, DECLINED);

  const { ok, shoppers, sold, unresolved, database } = await report;
  assert.deepEqual({ ok, shoppers, sold, unresolved, others: database.orders_of_others }, { ok: true, shoppers: 200, sold: 100, unresolved: 0, others: 1 });
});

test("where WebSockets are blocked, the page uses Server-Sent Events", LIMIT, async () => {
  const sale = await demo.create();
  const { visitor, at } = await visit(sale);
  await at.page.routeWebSocket(/\/line/, (socket) => { void socket.close({ code: 1011 }); });
  const events = at.page.waitForResponse((response) => response.headers()["content-type"]?.startsWith("text/event-stream") ?? false);
  await at.join();
  assert.equal((await events).status(), 200);
  const ticket = await at.ticket();
  await at.page.reload();
  assert.equal(await at.ticket(), ticket);
  await demo.command(sale, "open");
  await at.checkOut();
  await at.pay();
  await at.heading("Order confirmed").waitFor();
  await visitor.close();
});

test("where both are blocked, the page polls", LIMIT, async () => {
  const sale = await demo.create();
  const visitor = await Visitor.open(browser);
  await visitor.context.addInitScript("delete globalThis.WebSocket");
  await visitor.context.route(/\/line(\?|$)/, (route, request) => (request.headers().accept === "text/event-stream" ? route.abort() : route.fallback()));
  const at = new ShopperPage(await visitor.openTab(demo.pageUrl(sale)));
  await at.join();
  const ticket = await at.ticket();
  await at.page.reload();
  assert.equal(await at.ticket(), ticket);
  await demo.command(sale, "open");
  await at.checkOut();
  await at.pay();
  await at.heading("Order confirmed").waitFor();
  await visitor.close(/ERR_FAILED/);
});

test("a payment that needs authentication is pending until the bank confirms it", LIMIT, async () => {
  const sale = await demo.create();
  const { visitor, at } = await visit(sale);
  await at.join();
  await demo.command(sale, "open");
  await at.checkOut();
  const release = await at.holdOrderUpdates();
  await at.pay("Needs authentication");
  await at.heading("Payment pending").waitFor();
  await photograph(at.page, "pending");
  release();
  await at.page.reload();
  await at.heading("Order confirmed").waitFor();
  await visitor.close();
});

test("a shopper whose turn or hold expires sees it and can join again", LIMIT, async () => {
  const sale = await demo.create({ token_ttl_s: 4, claim_window_s: 4 });
  const { visitor, at } = await visit(sale);
  await at.join();
  const ticket = await at.ticket();
  await demo.command(sale, "open");
  await at.heading("Your turn has expired").waitFor();
  await photograph(at.page, "turn-expired");
  await demo.command(sale, "pause");
  await at.button("Join again").click();
  assert.notEqual(await at.ticket(), ticket, "a shopper who joins again gets a new ticket");
  await visitor.close();

  const short = await demo.create({ hold_s: 3 });
  await demo.command(short, "open");
  const holder = await visit(short);
  await holder.at.button("Join the line").click();
  await holder.at.button("Go to checkout").click();
  await holder.at.heading("Your reservation has expired").waitFor();
  await photograph(holder.at.page, "hold-expired");
  await holder.visitor.close();
});

test("a cancelled order goes to the next shopper", LIMIT, async () => {
  const sale = await demo.create({ total: 1 });
  const [first, next] = [await visit(sale), await visit(sale)];
  await first.at.join();
  await next.at.join();
  await demo.command(sale, "open");
  await first.at.checkOut();
  await photograph(first.at.page, "checkout");
  const dialog = first.at.page.getByRole("dialog");
  await first.at.button("Cancel order").click();
  await first.at.heading("Cancel this order?").waitFor();
  await photograph(first.at.page, "cancel");
  await dialog.getByRole("button", { name: "Keep order" }).click();
  await first.at.button("Cancel order").click();
  await dialog.getByRole("button", { name: "Cancel order" }).click();
  await first.at.heading("Order cancelled").waitFor();
  await photograph(first.at.page, "cancelled");
  await first.at.page.reload();
  await first.at.heading("Order cancelled").waitFor();
  await next.at.checkOut();
  await next.at.pay();
  await next.at.heading("Order confirmed").waitFor();
  const late = await visit(sale);
  await late.at.heading("Sold out").waitFor();
  await photograph(late.at.page, "sold-out");
  await late.visitor.close();
  await first.visitor.close();
  await next.visitor.close();
});

test("a shopper at the limit who joins again is informed before waiting", LIMIT, async () => {
  const sale = await demo.create({ per_shopper_limit: 1 });
  const { visitor, at } = await visit(sale);
  await at.join();
  await demo.command(sale, "open");
  await at.checkOut();
  await at.pay();
  await at.heading("Order confirmed").waitFor();
  // The page of an order has no button to join again, but the same cookies get a new ticket.
  const { request } = visitor.context;
  const line = `${demo.pageUrl(sale)}/line`;
  await until("the turn to count as used", async () => (await (await request.get(line)).text()).includes("You have already used your turn") || undefined);
  const joined = await request.post(`${line}?rejoin=true`);
  assert.equal(joined.status(), 200);
  await at.page.reload();
  await at.heading("You have reached the purchase limit").waitFor();
  await at.page.locator("[data-text=over-text]", { hasText: "You have bought or reserved the maximum number of items per shopper." }).waitFor();
  await at.button("Join again").waitFor();
  await photograph(at.page, "limit");
  await visitor.close();
});
