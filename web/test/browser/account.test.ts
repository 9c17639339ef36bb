import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { openBrowser, photograph, Visitor } from "./browser";
import { Shop } from "./shop";
import { ShopperPage } from "./shopper-page";
import { until } from "./until";

const LIMIT = { timeout: 180_000 };
/** What the browser says by itself when nobody is signed in yet, or a code is wrong. */
const REFUSED = /status of 401|status of 422/;

let shop: Shop;
let browser: Browser;

before(async () => {
  [shop, browser] = await Promise.all([Shop.start(), openBrowser()]);
}, LIMIT);

after(async () => {
  await Promise.all([browser.close(), shop.stop()]);
}, LIMIT);

interface Letter {
  subject: string;
  text: string;
}

const letters = async (to: string): Promise<Letter[]> => (await (await fetch(`${shop.url}/sandbox/letters?to=${encodeURIComponent(to)}`)).json()) as Letter[];

const letter = (to: string, subject: RegExp): Promise<Letter> =>
  until(`a letter to ${to}`, async () => (await letters(to)).findLast((one) => subject.test(one.subject)));

test("a sale for accounts signs in beside the line, sells one to each, and confirms it by letter", LIMIT, async () => {
  const sale = await shop.create({ name: "Members' lamp", slug: "members-lamp", per_account_limit: 1, rate_cap_per_s: 50 });
  const visitor = await Visitor.come(browser);
  const at = new ShopperPage(await visitor.openTab(`${shop.url}/sales/${sale.slug}`));
  const { page } = at;
  const account = page.locator("[data-account]");
  const address = account.getByLabel(/Email/);
  await address.waitFor();
  await photograph(page, "sign-in");

  await at.join();
  await shop.command(sale, "open");
  await at.heading("It’s your turn").waitFor();
  // Who has not signed in yet loses nothing.
  await at.button("Go to checkout").click();
  await page.getByRole("alert").filter({ hasText: "for accounts only" }).waitFor();

  await address.fill("nonsense");
  await account.getByRole("button", { name: "Send code" }).click();
  await account.getByRole("alert").filter({ hasText: "not a phone number" }).waitFor();
  await address.fill("Ada@example.org");
  await page.keyboard.press("Enter");
  const code = account.getByLabel("Code", { exact: true });
  await code.waitFor();
  assert.ok(await code.evaluate((input) => input === document.activeElement), "the code is asked for at once");
  const { subject } = await letter("ada@example.org", /is your code for the demo shop/);
  await photograph(page, "sign-in-code");
  await code.fill(subject.startsWith("000000") ? "000001" : "000000");
  await page.keyboard.press("Enter");
  await account.getByRole("alert").filter({ hasText: "code is not accepted" }).waitFor();
  await code.fill(subject.slice(0, 6));
  await page.keyboard.press("Enter");
  await account.getByText("Signed in: ada@example.org").waitFor();
  await photograph(page, "signed-in");
  assert.equal(await page.evaluate(() => document.cookie.includes("fairline_account")), false, "no script reads the tokens");

  await at.checkOut();
  await at.pay();
  await at.heading("Order confirmed").waitFor();
  const confirmed = await letter("ada@example.org", /^Your order at the demo shop/);
  assert.match(confirmed.text, /1 × Members' lamp, for €49\.00/);

  // After a reload she is signed in still; on another device, with another ticket, she has had hers.
  await page.reload();
  await account.getByText("Signed in: ada@example.org").waitFor();
  const elsewhere = await Visitor.come(browser);
  const there = new ShopperPage(await elsewhere.openTab(`${shop.url}/sales/${sale.slug}`));
  const panel = there.page.locator("[data-account]");
  await panel.getByLabel(/Email/).fill("ada@example.org");
  await there.page.keyboard.press("Enter");
  await panel.getByLabel("Code", { exact: true }).waitFor();
  const next = await until("another code", async () => (await letters("ada@example.org")).filter((one) => one.subject.includes("is your code"))[1]);
  await panel.getByLabel("Code", { exact: true }).fill(next.subject.slice(0, 6));
  await there.page.keyboard.press("Enter");
  await panel.getByText("Signed in:").waitFor();
  await there.button("Join the line").click();
  await there.heading("It’s your turn").waitFor();
  await there.button("Go to checkout").click();
  await there.page.getByRole("alert").filter({ hasText: "0 more of this sale" }).waitFor();

  await panel.getByRole("button", { name: "Sign out" }).click();
  await panel.getByLabel(/Email/).waitFor();
  await there.page.reload();
  await panel.getByLabel(/Email/).waitFor();
  await visitor.go(REFUSED);
  await elsewhere.go(REFUSED);
});

test("whoever asks for it hears by letter that the turn is near", LIMIT, async () => {
  const sale = await shop.create({ name: "Evening lamp", slug: "evening-lamp", per_account_limit: 1, total: 3, rate_cap_per_s: 0.01 });
  const visitor = await Visitor.come(browser);
  const at = new ShopperPage(await visitor.openTab(`${shop.url}/sales/${sale.slug}`));
  const account = at.page.locator("[data-account]");
  await account.getByLabel(/Email/).fill("bob@example.org");
  await at.page.keyboard.press("Enter");
  await account.getByLabel("Code", { exact: true }).waitFor();
  await account.getByLabel("Code", { exact: true }).fill((await letter("bob@example.org", /is your code/)).subject.slice(0, 6));
  await at.page.keyboard.press("Enter");
  const remind = account.getByRole("button", { name: "Notify me when my turn is near" });
  await remind.click();
  await account.getByRole("status").filter({ hasText: "No such" }).waitFor();
  await at.join();
  await remind.click();
  await account.getByRole("status").filter({ hasText: "We will notify you" }).waitFor();
  await shop.command(sale, "open");
  const near = await letter("bob@example.org", /^Your turn is near: Evening lamp$/);
  assert.match(near.text, /http:\/\/.*\/sales\/evening-lamp/);
  await visitor.go(/status of 401|status of 404/);
});
