/** The page of a sale and the list of sales: status, keyboard, motion, policy and size. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { PHONE, photograph, Visitor } from "./browser";
import { browser, demo, LIMIT, visit } from "./setup";

test("a shopper can buy with the keyboard alone", LIMIT, async () => {
  const sale = await demo.create({ per_shopper_limit: 3 });
  const { visitor, at } = await visit(sale);
  const { keyboard } = at.page;
  const focused = (): Promise<string | undefined> => at.page.evaluate(() => document.activeElement?.textContent.trim());
  const tabTo = async (name: RegExp): Promise<void> => {
    for (let steps = 0; !name.test((await focused()) ?? ""); steps += 1) {
      assert.ok(steps < 20, `the keyboard does not reach ${String(name)}; the focus is on ${String(await focused())}`);
      await keyboard.press("Tab");
    }
  };

  await keyboard.press("Tab");
  assert.equal(await focused(), "Skip to content");
  await tabTo(/^Join the line$/);
  await keyboard.press("Enter");
  await at.ahead.waitFor();
  assert.match((await focused()) ?? "", /front of the line/, "the focus moves into the line");
  await tabTo(/^Leave the line$/);
  await keyboard.press("Enter");
  await at.heading("Leave the line?").waitFor();
  await keyboard.press("Escape");
  await at.heading("Leave the line?").waitFor({ state: "hidden" });

  await demo.command(sale, "open");
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
  await visitor.close();
});

test("the status of a sale and the shop's message reach shoppers in line and outside", LIMIT, async () => {
  // So slow that the sale admits no shopper between the opening and the pause.
  const sale = await demo.create({ name: '<img src="x" onerror="alert(1)"> & co', rate_cap_per_s: 0.01 });
  const waiting = await visit(sale, { viewport: PHONE });
  await photograph(waiting.at.page, "outside-scheduled");
  await waiting.at.join();
  await waiting.at.page.getByText("The sale has not opened yet.").waitFor();
  const watching = await visit(sale);
  assert.equal(await watching.at.page.locator("h1").textContent(), '<img src="x" onerror="alert(1)"> & co');

  await demo.command(sale, "open");
  await demo.command(sale, "pause");
  await demo.change(sale, { message: "Back <b>soon</b>." });
  for (const { at } of [waiting, watching]) {
    await at.page.getByText("Paused", { exact: true }).waitFor();
    await at.page.getByText("Back <b>soon</b>.").waitFor();
  }
  await photograph(waiting.at.page, "waiting-paused");
  await photograph(watching.at.page, "outside-paused");
  await demo.command(sale, "resume");
  await watching.at.page.getByText("Open", { exact: true }).waitFor();
  await photograph(watching.at.page, "outside-open");
  await demo.command(sale, "close");
  for (const { at } of [waiting, watching]) await at.heading("The sale is closed").waitFor();
  await photograph(waiting.at.page, "closed");
  await waiting.visitor.close();
  await watching.visitor.close();
});

test("with reduced motion nothing moves, and a dark colour scheme is readable", LIMIT, async () => {
  const sale = await demo.create();
  const { visitor, at } = await visit(sale, { reducedMotion: "reduce", colorScheme: "dark" });
  await at.join();
  await photograph(at.page, "waiting-dark");
  await demo.command(sale, "open");
  await at.checkOut();
  const release = await at.holdOrderUpdates();
  await at.pay("Needs authentication");
  await at.heading("Payment pending").waitFor();
  assert.equal(await at.page.evaluate(() => document.getAnimations().length), 0);
  release();
  await at.heading("Order confirmed").waitFor();
  await visitor.close();
});

test("the list of sales, and a page that does not exist", LIMIT, async () => {
  const sale = await demo.create({ name: "Listed lamp" });
  const visitor = await Visitor.open(browser);
  const page = await visitor.openTab(demo.url);
  await photograph(page, "home");
  await page.getByRole("link", { name: sale.name }).click();
  await page.waitForURL(demo.pageUrl(sale));
  await page.goto(`${demo.url}/sales/no-such-sale`);
  await page.getByRole("link", { name: "View all sales" }).waitFor();
  await photograph(page, "not-found");
  await visitor.close(/status of 404/);
});

test("the served page allows only its own scripts and styles, and is small", LIMIT, async () => {
  const sale = await demo.create();
  const response = await fetch(demo.pageUrl(sale));
  const policy = response.headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'self'/);
  assert.doesNotMatch(policy, /unsafe|script-src|style-src/);
  const html = await response.text();
  const assets = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+\.(?:js|css))"/g)].map(([, path]) => path ?? "");
  assert.equal(assets.length, 2);
  const parts = await Promise.all(assets.map(async (path) => Buffer.from(await (await fetch(demo.url + path)).arrayBuffer())));
  const sizes = [Buffer.from(html), ...parts].map((part) => gzipSync(part).length);
  assert.ok(sizes.reduce((sum, size) => sum + size) <= 17_000, `compressed with gzip: ${sizes.join(" + ")} B`);
});
