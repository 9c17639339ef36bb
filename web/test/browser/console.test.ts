import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { openBrowser, photograph, Visitor } from "./browser";
import { Shop } from "./shop";
import { ShopperPage } from "./shopper-page";
import { until } from "./until";

const LIMIT = { timeout: 180_000 };

let shop: Shop;
let browser: Browser;

before(async () => {
  [shop, browser] = await Promise.all([Shop.start(), openBrowser()]);
}, LIMIT);

after(async () => {
  await Promise.all([browser.close(), shop.stop()]);
}, LIMIT);

test("an operator signs in, creates a sale and steers it", LIMIT, async () => {
  const visitor = await Visitor.come(browser);
  const page = await visitor.openTab(shop.adminUrl);
  const button = (name: string) => page.getByRole("button", { name, exact: true });

  await page.getByLabel("Admin token").fill("not the token");
  await button("Sign in").click();
  await page.locator("#sign-in .warning").filter({ hasText: /./ }).waitFor();
  await photograph(page, "console-sign-in");
  await page.getByLabel("Admin token").fill(shop.adminToken);
  await button("Sign in").click();
  await page.getByRole("heading", { name: "Sales" }).waitFor();

  await page.getByText("Create a sale").click();
  await page.getByLabel("Name", { exact: true }).fill("Console lamp");
  await page.getByLabel("Name in addresses").fill("console-lamp");
  await page.getByLabel("Price").fill("12.50");
  await page.getByLabel("Opens at").fill("2099-01-01T10:00");
  await page.getByLabel("Order of the line").selectOption({ label: "by lot, for those who join before it opens" });
  await button("Create").click();

  const panel = page.getByRole("article").filter({ has: page.getByRole("heading", { name: "Console lamp" }) });
  const status = panel.locator(".badge");
  await status.filter({ hasText: "Opens soon" }).waitFor();
  await panel.getByText("€12.50").waitFor();

  // A lane, and an invitation to it that somebody follows.
  await panel.getByText("Lanes", { exact: true }).click();
  await panel.getByLabel("New lane").fill("vip");
  await panel.getByLabel("Its share (%)").fill("25");
  await panel.getByRole("button", { name: "Add the lane" }).click();
  await panel.getByRole("rowheader", { name: "vip" }).waitFor();
  await panel.getByRole("button", { name: "Make invitations" }).click();
  const links = panel.getByLabel("Invitations: keep them");
  await until("the invitation", async () => (await links.inputValue()) || undefined);
  await panel.getByLabel("Share of vip in percent").fill("30");
  await panel.getByLabel("Share of vip in percent").press("Enter");
  await photograph(page, "console-lanes");
  const guest = await Visitor.come(browser);
  const at = new ShopperPage(await guest.openTab(await links.inputValue()));
  await at.page.getByText("By invitation: vip").waitFor();
  await photograph(at.page, "invited");
  await at.button("Join the line").click();
  await at.heading(/in the draw/).waitFor();
  const stranger = await Visitor.come(browser);
  const door = await stranger.openTab((await links.inputValue()).replace(/\?.*/, "?invitation=guessed"));
  await door.getByText("This is no invitation to this line.").waitFor();
  await photograph(door, "not-invited");
  await door.getByLabel("Your invitation").fill(new URL(await links.inputValue()).searchParams.get("invitation") ?? "");
  await door.getByRole("button", { name: "Show the invitation" }).click();
  await door.getByRole("button", { name: "Join the line" }).waitFor();
  await guest.go();
  await stranger.go();

  await panel.getByRole("button", { name: "Open", exact: true }).click();
  await status.filter({ hasText: "Open" }).waitFor();
  await panel.getByRole("button", { name: "Pause" }).click();
  await status.filter({ hasText: "Paused" }).waitFor();

  await panel.getByLabel("Units", { exact: true }).fill("250");
  await panel.getByLabel("Units", { exact: true }).press("Enter");
  await panel.getByText("250 units").waitFor();
  await panel.getByLabel("Most admissions per second").fill("2.5");
  await panel.getByLabel("Most admissions per second").press("Enter");
  await panel.getByLabel("Message to those who wait").fill("Back soon.");
  await panel.getByLabel("Message to those who wait").press("Enter");

  await photograph(page, "console");

  await page.reload();
  await panel.getByRole("heading").waitFor();
  assert.equal(await panel.getByLabel("Most admissions per second").inputValue(), "2.5");
  assert.equal(await panel.getByLabel("Message to those who wait").inputValue(), "Back soon.");

  await panel.getByRole("button", { name: "Close the sale" }).click();
  await button("Keep it running").click();
  await status.filter({ hasText: "Paused" }).waitFor();
  await panel.getByRole("button", { name: "Close the sale" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Close the sale" }).click();
  await status.filter({ hasText: "Closed" }).waitFor();

  // Nobody listens at the address, which the console shows soon after something has happened.
  const hooks = page.locator("#webhooks");
  await hooks.getByText("Webhooks", { exact: true }).click();
  await hooks.getByLabel("New address").fill("http://127.0.0.1:9/hook");
  await button("Add the webhook").click();
  await hooks.getByText(/^whsec_/).waitFor();
  const row = hooks.getByRole("row").filter({ hasText: "http://127.0.0.1:9/hook" });
  await row.getByText("on", { exact: true }).waitFor();
  await panel.getByLabel("Message to those who wait").fill("Nothing is left.");
  await panel.getByLabel("Message to those who wait").press("Enter");
  await row.getByText(/^failing since/).waitFor();
  await hooks.getByText("1 of 1 not reached").waitFor();
  await photograph(page, "console-webhooks");
  await row.getByRole("button", { name: "Forget" }).click();
  await button("Forget it").click();
  await row.waitFor({ state: "detached" });

  await button("Sign out").click();
  await page.getByLabel("Admin token").waitFor();
  await page.reload();
  await page.getByLabel("Admin token").waitFor();
  await visitor.go(/status of 401/);
});
