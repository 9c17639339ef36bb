/** Sales for accounts: signing in, and notifications. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { photograph } from "./browser";
import { demo, LIMIT, visit } from "./setup";
import { until } from "./until";

/** Errors that a browser logs before the shopper has signed in, and for a wrong code. */
const REFUSED = /status of 401|status of 422/;

interface SentNotification {
  subject: string;
  text: string;
}

const notifications = async (to: string): Promise<SentNotification[]> => (await (await fetch(`${demo.url}/sandbox/notifications?to=${encodeURIComponent(to)}`)).json()) as SentNotification[];

const notification = (to: string, pattern: RegExp): Promise<SentNotification> =>
  until(`a notification to ${to}`, async () => (await notifications(to)).findLast(({ subject }) => pattern.test(subject)));

test("a sale for accounts asks to sign in, sells one item to each account, and confirms it by e-mail", LIMIT, async () => {
  const sale = await demo.create({ name: "Members' lamp", slug: "members-lamp", per_account_limit: 1, rate_cap_per_s: 50 });
  const { visitor, at } = await visit(sale);
  const { page } = at;
  const account = page.locator("[data-account]");
  const address = account.getByLabel(/E-mail/);
  await address.waitFor();
  await photograph(page, "sign-in");

  await at.join();
  await demo.command(sale, "open");
  await at.heading("It’s your turn").waitFor();
  // The shopper has not signed in, and keeps the turn.
  await at.button("Go to checkout").click();
  await page.getByRole("alert").filter({ hasText: "for accounts only" }).waitFor();

  await address.fill("nonsense");
  await account.getByRole("button", { name: "Send code" }).click();
  await account.getByRole("alert").filter({ hasText: "not a phone number" }).waitFor();
  await address.fill("Ada@example.org");
  await page.keyboard.press("Enter");
  const code = account.getByLabel("Code", { exact: true });
  await code.waitFor();
  assert.ok(await code.evaluate((input) => input === document.activeElement), "the code field has the focus");
  const { subject } = await notification("ada@example.org", /is your sign-in code for the demo shop/);
  await photograph(page, "sign-in-code");
  await code.fill(subject.startsWith("000000") ? "000001" : "000000");
  await page.keyboard.press("Enter");
  await account.getByRole("alert").filter({ hasText: "code is not accepted" }).waitFor();
  await code.fill(subject.slice(0, 6));
  await page.keyboard.press("Enter");
  await account.getByText("Signed in with ada@example.org").waitFor();
  await photograph(page, "signed-in");
  assert.equal(await page.evaluate(() => document.cookie.includes("fairline_account")), false, "scripts cannot read the tokens");

  await at.checkOut();
  await at.pay();
  await at.heading("Order confirmed").waitFor();
  const confirmed = await notification("ada@example.org", /^Your order at the demo shop/);
  assert.match(confirmed.text, /1 × Members' lamp, for €49\.00/);

  // The account has reached its limit, also on another device with another ticket.
  await page.reload();
  await account.getByText("Signed in with ada@example.org").waitFor();
  const { visitor: elsewhere, at: there } = await visit(sale);
  const panel = there.page.locator("[data-account]");
  await panel.getByLabel(/E-mail/).fill("ada@example.org");
  await there.page.keyboard.press("Enter");
  await panel.getByLabel("Code", { exact: true }).waitFor();
  const next = await until("another code", async () => (await notifications("ada@example.org")).filter((one) => one.subject.includes("is your sign-in code"))[1]);
  await panel.getByLabel("Code", { exact: true }).fill(next.subject.slice(0, 6));
  await there.page.keyboard.press("Enter");
  await panel.getByText("Signed in with").waitFor();
  await there.button("Join the line").click();
  await there.heading("It’s your turn").waitFor();
  await there.button("Go to checkout").click();
  await there.page.getByRole("alert").filter({ hasText: "You have reached the limit of 1 for this sale" }).waitFor();

  await panel.getByRole("button", { name: "Sign out" }).click();
  await panel.getByLabel(/E-mail/).waitFor();
  await there.page.reload();
  await panel.getByLabel(/E-mail/).waitFor();
  await visitor.close(REFUSED);
  await elsewhere.close(REFUSED);
});

test("a shopper who asks for it is notified that the turn is near", LIMIT, async () => {
  const sale = await demo.create({ name: "Evening lamp", slug: "evening-lamp", per_account_limit: 1, total: 3, rate_cap_per_s: 0.01 });
  const { visitor, at } = await visit(sale);
  const account = at.page.locator("[data-account]");
  await account.getByLabel(/E-mail/).fill("bob@example.org");
  await at.page.keyboard.press("Enter");
  await account.getByLabel("Code", { exact: true }).waitFor();
  await account.getByLabel("Code", { exact: true }).fill((await notification("bob@example.org", /is your sign-in code/)).subject.slice(0, 6));
  await at.page.keyboard.press("Enter");
  const remind = account.getByRole("button", { name: "Notify me when my turn is near" });
  await remind.click();
  await account.getByRole("status").filter({ hasText: "No such" }).waitFor();
  await at.join();
  await remind.click();
  await account.getByRole("status").filter({ hasText: "We will notify you" }).waitFor();
  await demo.command(sale, "open");
  const near = await notification("bob@example.org", /^Your turn is near: Evening lamp$/);
  assert.match(near.text, /http:\/\/.*\/sales\/evening-lamp/);
  await visitor.close(/status of 401|status of 404/);
});
