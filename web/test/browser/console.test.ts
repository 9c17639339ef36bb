import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, Locator, WebSocketRoute } from "playwright-core";
import { openBrowser, PHONE, photograph, Visitor } from "./browser";
import { ConsolePage, PASSWORD } from "./operator";
import { Shop } from "./shop";
import { ShopperPage } from "./shopper-page";
import { totp } from "./totp";
import { until } from "./until";

const LIMIT = { timeout: 180_000 };
/** A browser notes every answer of 401, 403, 409 or 422, also those that the page was prepared for. */
const REFUSED = /status of (401|403|409|422)/;
/** And every socket that ends without a word, as those of a screen that was left while it opened. */
const CUT_OFF = /WebSocket/;

/** What stands somewhere, once something does. */
async function filled(place: Locator): Promise<string | undefined> {
  const text = await place.textContent();
  return text === "" ? undefined : (text ?? undefined);
}

let shop: Shop;
let browser: Browser;

before(async () => {
  [shop, browser] = await Promise.all([Shop.start(), openBrowser()]);
}, LIMIT);

after(async () => {
  await Promise.all([browser.close(), shop.stop()]);
}, LIMIT);

test("the first operator is set up, signs in, and hires others, who may do what they may", LIMIT, async () => {
  const visitor = await Visitor.come(browser);
  const page = await visitor.openTab(shop.adminUrl);
  await page.getByText("Set up the first operator").click();
  const first = page.locator("form[data-first]");
  await first.getByLabel("Admin token").fill("not the token");
  await first.getByLabel("Name").fill("ada");
  await first.getByLabel("Password").fill(PASSWORD);
  await first.getByRole("button", { name: "Set up" }).click();
  await page.locator("#sign-in [role=alert]").filter({ hasText: /admin token/ }).waitFor();
  await photograph(page, "console-sign-in");
  await first.getByLabel("Admin token").fill(shop.adminToken);
  await first.getByRole("button", { name: "Set up" }).click();
  const secret = await until("the secret", () => filled(page.locator("#sign-in output")));
  await page.getByRole("img", { name: "QR code of the secret of ada" }).waitFor();
  await photograph(page, "console-first");
  const form = page.locator("form[data-sign-in]");
  assert.equal(await form.getByLabel("Name").inputValue(), "ada");
  await form.getByLabel("Password").fill(PASSWORD);
  await form.getByLabel("Code").fill("000000");
  await form.getByRole("button", { name: "Sign in" }).click();
  await page.locator("#sign-in [role=alert]").filter({ hasText: /code is wrong/ }).waitFor();
  await form.getByLabel("Code").fill(totp(secret));
  await form.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Sales" }).waitFor();
  await photograph(page, "console-sales");
  await page.reload();
  await page.getByRole("heading", { name: "Sales" }).waitFor();

  await page.getByRole("link", { name: "Operators" }).click();
  await page.locator("#screen").getByLabel("Name", { exact: true }).fill("vera");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  const code = await until("the other's code", () => filled(page.locator("#screen .enrolment output")));
  await page.getByRole("rowheader", { name: "vera" }).waitFor();
  await photograph(page, "console-operators");

  const sale = await shop.create({ name: "Seen lamp" });
  const viewer = await Visitor.come(browser);
  const theirs = await viewer.openTab(shop.adminUrl);
  // Nobody but vera sees her password and her secret.
  await theirs.getByText("Begin with a code from an owner").click();
  const begin = theirs.locator("form[data-enrol]");
  await begin.getByLabel("Code").fill(code);
  await begin.getByLabel("A password of your own").fill(PASSWORD);
  await begin.getByRole("button", { name: "Begin" }).click();
  const other = await until("the other's secret", () => filled(theirs.locator("#sign-in output")));
  const door = theirs.locator("form[data-sign-in]");
  assert.equal(await door.getByLabel("Name").inputValue(), "vera");
  await door.getByLabel("Password").fill(PASSWORD);
  await door.getByLabel("Code").fill(totp(other));
  await door.getByRole("button", { name: "Sign in" }).click();
  await theirs.getByRole("link", { name: "Seen lamp" }).click();
  await theirs.getByRole("heading", { name: "Seen lamp" }).waitFor();
  assert.equal(await theirs.getByRole("button", { name: "Open now" }).isVisible(), false);
  assert.equal(await theirs.getByRole("link", { name: "Operators" }).isVisible(), false);
  assert.equal(await theirs.getByLabel("Shoppers", { exact: true }).isVisible(), false);
  await photograph(theirs, "console-viewer");
  await theirs.goto(`${shop.adminUrl}#/new`);
  await theirs.getByRole("heading", { name: "Not allowed" }).waitFor();
  await photograph(theirs, "console-not-allowed");
  await theirs.goto(`${shop.adminUrl}#/sales`);
  const roles = page.getByLabel("Role of vera");
  await roles.selectOption("operator");
  await page.getByRole("button", { name: "Set: vera" }).click();
  await page.locator("#confirm").getByRole("button", { name: "Keep things as they are" }).click();
  await until("the role to stand as it is", async () => (await roles.inputValue()) === "viewer" || undefined);
  await roles.selectOption("operator");
  await page.getByRole("button", { name: "Set: vera" }).click();
  await page.locator("#confirm").getByRole("button", { name: "Set the role" }).click();
  await page.getByText("vera is operator now.").waitFor();
  await page.getByRole("button", { name: "Remove: vera" }).click();
  await page.locator("#confirm").getByRole("button", { name: "Remove", exact: true }).click();
  await theirs.getByText("The session has ended. Please sign in again.").waitFor();
  assert.equal((await shop.sale(sale)).status, "scheduled");
  await viewer.go(REFUSED, CUT_OFF);

  await page.getByRole("button", { name: "ada (owner)" }).click();
  await photograph(page, "console-account");
  await page.getByLabel("Old password").fill(PASSWORD);
  await page.getByLabel("New password").fill("another good password");
  await page.getByRole("button", { name: "Change it" }).click();
  await page.getByText("Your password is changed.").waitFor();
  await visitor.go(REFUSED, CUT_OFF);
});

test("a sale is created with a preview, copied, and steered; the log shows it all", LIMIT, async () => {
  const at = await ConsolePage.enter(browser, shop, "otto", "owner");
  const { page } = at;
  await page.getByRole("link", { name: "Create a sale" }).click();
  await page.locator("#create").getByLabel("Name", { exact: true }).fill("Console lamp");
  await page.getByLabel("Name in addresses").fill("console-lamp");
  const price = page.getByLabel("Price");
  await price.fill("12.509");
  await at.button("Create the sale").click();
  assert.equal(await price.evaluate((input: HTMLInputElement) => input.validationMessage), "The smallest amount in this currency is €0.01.");
  await price.fill("12.50");
  await page.getByLabel("Time zone").selectOption("America/New_York");
  await page.getByLabel("Opens at").fill("2099-07-01T10:00");
  await page.getByLabel("While they wait").fill("Tea is ready.");
  await page.getByLabel("Accent of our own").check();
  await page.getByLabel("Accent", { exact: true }).fill("#ffee00");
  await page.getByText("Links in this accent are hard to read").waitFor();
  await page.getByRole("button", { name: "Create the sale" }).click();
  await page.locator("#trouble").filter({ hasText: /accent/ }).waitFor();
  await page.getByLabel("Accent", { exact: true }).fill("#7a0019");
  const preview = page.getByRole("complementary", { name: "Preview" });
  await preview.getByText("Console lamp").waitFor();
  await preview.getByText("€12.50").waitFor();
  await preview.getByText("Tea is ready.").waitFor();
  await page.getByText(/10:00 in America\/New_York/).waitFor();
  await photograph(page, "console-new");
  await page.getByRole("button", { name: "Create the sale" }).click();
  await page.getByRole("heading", { name: "Console lamp" }).waitFor();
  await page.getByText(/10:00 \(America\/New_York\)/).waitFor();

  // A lane, and an invitation to it that somebody follows.
  await page.getByText("Lanes", { exact: true }).click();
  await page.getByLabel("New lane").fill("vip");
  await page.getByLabel("Its share (%)").fill("25");
  await at.button("Add the lane").click();
  await page.getByRole("rowheader", { name: "vip" }).waitFor();
  await at.button("Make invitations").click();
  const links = page.getByLabel("Invitations: keep them");
  await until("the invitation", async () => (await links.inputValue()) || undefined);
  await at.set("Share of vip in percent", "30");
  await until("the waiting room to hear of the lane", async () => (await fetch(await links.inputValue())).ok || undefined);
  const guest = await Visitor.come(browser);
  const invited = new ShopperPage(await guest.openTab(await links.inputValue()));
  await invited.page.getByText("By invitation: vip").waitFor();
  await photograph(invited.page, "invited");
  await guest.go();

  await at.button("Open now").click();
  await at.answer("Keep things as they are");
  assert.equal((await page.locator(".badge").first().textContent()), "Opens soon");
  await at.button("Open now").click();
  await at.answer("Open it");
  await page.locator(".badge").filter({ hasText: "Open" }).first().waitFor();
  await at.button("Pause").click();
  await page.locator(".badge").filter({ hasText: "Paused" }).first().waitFor();
  const shoppers = await Promise.all([0, 1, 2].map(async () => {
    const shopper = await Visitor.come(browser);
    const line = new ShopperPage(await shopper.openTab(`${shop.url}/sales/console-lamp`));
    return { shopper, line };
  }));
  for (const [index, { line }] of shoppers.entries()) {
    await line.join();
    await until("the ticket to be counted", async () => (await at.counter("Waiting").textContent()) === String(index + 1) || undefined);
  }
  const [, second, third] = shoppers;
  assert.ok(second && third);
  await second.line.page.getByText("Tea is ready.").waitFor();
  const accent = await second.line.page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue("--accent").trim());
  assert.equal(accent, "#7a0019");
  await photograph(second.line.page, "shopper-look");
  await at.set("Message to everybody who waits", "Back in a minute.");
  await second.line.page.getByText("Back in a minute.").waitFor();
  await page.getByText("Texts and colours").click();
  const theme = page.locator(".theme");
  assert.equal(await theme.getByLabel("While they wait").inputValue(), "Tea is ready.");
  await theme.getByLabel("While they wait").fill("Coffee is ready.");
  await theme.getByLabel("Accent", { exact: true }).fill("#ffee00");
  await theme.getByText("Links in this accent are hard to read").waitFor();
  await theme.getByLabel("Accent", { exact: true }).fill("#00457c");
  await theme.getByRole("button", { name: "Set them" }).click();
  await until("the page to look so", async () => {
    await second.line.page.reload();
    await second.line.page.getByText(/(Tea|Coffee) is ready\./).waitFor();
    return (await second.line.page.getByText("Coffee is ready.").isVisible()) || undefined;
  });
  await at.set("Most admissions per second", "2.5");
  await at.set("Units", "3");
  await page.getByLabel("Ticket number", { exact: true }).fill("2");
  await page.getByLabel("What to do").selectOption("remove");
  await at.button("Do it…").click();
  await photograph(page, "console-confirm");
  await at.answer("Remove it", "a robot");
  await second.line.heading("The shop has taken your ticket out of the line").waitFor();
  await photograph(second.line.page, "shopper-removed");
  await page.getByLabel("Ticket number", { exact: true }).fill("3");
  await page.getByLabel("What to do").selectOption("prefer");
  await at.button("Do it…").click();
  await at.answer("Serve it next", "our mistake");
  await page.getByText("Ticket 3 is served next.").waitFor();
  await at.button("Resume").click();
  await third.line.heading("It’s your turn").waitFor();
  await page.getByLabel("Let in now, above the rate").fill("5");
  await at.button("Let them in").click();
  await at.answer("Let them in");
  await page.getByText("5 more shoppers are let in now").waitFor();
  await until("both to be let in", async () => (await at.counter("Let in").textContent()) === "2" || undefined);
  await at.button("Revoke all tokens that are out…").click();
  await at.answer("Revoke them", "a leak");
  await page.getByText(/tokens? (is|are) revoked/).waitFor();
  await photograph(page, "console-sale");
  for (const { shopper } of shoppers) await shopper.go(CUT_OFF);

  await page.getByRole("link", { name: "Copy this sale" }).click();
  await page.getByRole("heading", { name: "A copy of Console lamp" }).waitFor();
  assert.equal(await page.getByLabel("While they wait").inputValue(), "Coffee is ready.");
  await photograph(page, "console-copy");
  assert.equal(await page.getByLabel("Price").inputValue(), "12.5");
  await page.goBack();

  await at.button("Close the sale").click();
  await at.answer("Keep things as they are");
  await at.button("Close the sale").click();
  await at.answer("Close the sale");
  await page.locator(".badge").filter({ hasText: "Closed" }).first().waitFor();
  await page.getByRole("link", { name: "Report", exact: true }).click();
  await page.getByText(/The record was replayed/).waitFor();
  await page.getByText(/1 tickets? in front/).waitFor();
  await photograph(page, "console-report");

  await page.getByRole("link", { name: "Audit log" }).click();
  await page.getByRole("row").filter({ hasText: "remove ticket" }).filter({ hasText: "a robot" }).waitFor();
  await page.getByRole("row").filter({ hasText: "rate cap per s: 10 → 2.5" }).waitFor();
  await photograph(page, "console-audit");
  await page.getByRole("link", { name: "console-lamp" }).first().click();
  await page.getByRole("link", { name: "What was changed" }).click();
  await page.getByRole("heading", { name: "Audit log of one sale" }).waitFor();
  await page.getByRole("row").filter({ hasText: "a robot" }).waitFor();
  assert.equal(await page.getByRole("row").filter({ hasText: "otto" }).filter({ hasText: "add operator" }).count(), 0);
  await page.getByRole("link", { name: "Of everything" }).click();
  await page.getByRole("heading", { name: "Audit log", exact: true }).waitFor();
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "As a table (CSV)" }).click();
  assert.equal((await download).suggestedFilename(), "audit.csv");

  await page.getByRole("link", { name: "Webhooks" }).click();
  await page.getByLabel("New address").fill("http://127.0.0.1:9/hook");
  await at.button("Add the webhook").click();
  await page.getByRole("rowheader", { name: "http://127.0.0.1:9/hook" }).waitFor();
  await photograph(page, "console-webhooks");
  await at.button(/^Forget http/).click();
  await at.answer("Forget it");
  await page.getByRole("rowheader").waitFor({ state: "detached" });
  await at.button("Sign out").click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await at.visitor.go(REFUSED, CUT_OFF);
});

test("what may be old is called so, and a socket that is refused is asked why", LIMIT, async () => {
  const sale = await shop.create({ name: "Quiet lamp", mode: "yield" });
  const at = await ConsolePage.enter(browser, shop, "nora", "operator");
  const { page } = at;
  const sockets: WebSocketRoute[] = [];
  let isMute = false;
  await page.clock.install();
  await page.routeWebSocket(/\/admin\/live/, (socket) => {
    sockets.push(socket);
    socket.connectToServer().onMessage((message) => { if (!isMute) socket.send(message); });
  });
  await at.goTo(`#/sales/${sale.id}`);
  await page.getByRole("heading", { name: "Quiet lamp" }).waitFor();
  const note = page.locator("#connection");
  isMute = true;
  await page.clock.fastForward(13_000);
  await note.filter({ hasText: /Nothing has been heard from the controller since \d\d:\d\d:\d\d/ }).waitFor();
  await photograph(page, "console-silence");
  isMute = false;
  const before = sockets.length;
  await page.clock.fastForward(13_000);
  await note.waitFor({ state: "hidden" });
  assert.ok(sockets.length > before, "it has come back by itself");

  await at.goTo("#/sales/00000000-0000-4000-8000-000000000000");
  await page.locator("#trouble").filter({ hasText: /no such sale/i }).waitFor();
  await at.goTo(`#/sales/${sale.id}`);
  await page.getByRole("heading", { name: "Quiet lamp" }).waitFor();
  await photograph(page, "console-yield");

  // Signed out in another tab, while this one has lost its connection: only the answer to the upgrade could tell.
  const other = await at.visitor.openTab(shop.adminUrl);
  await other.getByRole("button", { name: "Sign out" }).click();
  await other.getByRole("heading", { name: "Sign in" }).waitFor();
  await sockets.at(-1)?.close({ code: 1011 });
  await page.clock.fastForward(1_000);
  await page.locator("#sign-in [role=alert]").filter({ hasText: /sign in again/ }).waitFor();
  await at.visitor.go(REFUSED, CUT_OFF, /status of 404/);
});

test("a sale is steered from a phone", LIMIT, async () => {
  const sale = await shop.create({ name: "Pocket lamp" });
  const at = await ConsolePage.enter(browser, shop, "petra", "operator", { viewport: PHONE, hasTouch: true, isMobile: true });
  const { page } = at;
  await page.getByRole("link", { name: "Pocket lamp" }).tap();
  await page.getByRole("heading", { name: "Pocket lamp" }).waitFor();
  await at.button("Open now").tap();
  await at.answer("Open it");
  await page.locator(".badge").filter({ hasText: "Open" }).first().waitFor();
  await at.button("Pause").tap();
  await page.locator(".badge").filter({ hasText: "Paused" }).first().waitFor();
  await page.getByLabel("Message to everybody who waits").fill("Soon.");
  await at.button("Tell them").tap();
  await until("the message", async () => (await shop.sale(sale)).message === "Soon." || undefined);
  await page.getByRole("link", { name: "Audit log" }).tap();
  await page.getByRole("row").filter({ hasText: "Soon." }).waitFor();
  await photograph(page, "console-pocket-audit");
  await at.visitor.go(REFUSED, CUT_OFF);
});

/** A whole sale: whoever comes, and how long it may take where the machine is slow. */
const CROWD = 5_000;
const UNITS = 1_000;
const RUN = { timeout: 600_000 };
const RUN_MS = 540_000;

test("a whole sale of five thousand shoppers is run from the console alone: paused, told something, made faster, and reported", RUN, async () => {
  const at = await ConsolePage.enter(browser, shop, "rita", "operator");
  const { page } = at;
  await page.getByRole("link", { name: "Create a sale" }).click();
  const form = page.locator("#create");
  await form.getByLabel("Name", { exact: true }).fill("Rehearsed lamp");
  await form.getByLabel("Name in addresses").fill("rehearsed-lamp");
  await form.getByLabel("Units", { exact: true }).fill(String(UNITS));
  await form.getByLabel("Most admissions per second").fill("20");
  await form.getByLabel("Opens at").fill("2099-07-01T10:00");
  // Some of the crowd dawdle until their time runs out: let that be short.
  await form.getByLabel("To claim a turn").fill("10");
  await form.getByLabel("To go to checkout").fill("15");
  await form.getByLabel("To pay").fill("20");
  await at.button("Create the sale").click();
  await page.getByRole("heading", { name: "Rehearsed lamp" }).waitFor();

  await page.getByLabel("Shoppers", { exact: true }).fill(String(CROWD));
  await page.getByLabel("Come within (s)").fill("20");
  await page.getByLabel("Give up (%)").fill("10");
  await at.button("Rehearse").click();
  await at.answer("Keep things as they are");
  await at.button("Rehearse").click();
  await at.answer("Send them");
  await page.getByText("The rehearsal runs.").first().waitFor();
  await at.button("Rehearse").waitFor({ state: "hidden" });
  await page.getByRole("link", { name: "Watch the copy" }).click();
  await page.getByRole("heading", { name: "Rehearsal of Rehearsed lamp" }).waitFor();
  assert.equal(await at.button("Rehearse").isVisible(), false, "a copy is not rehearsed");
  await until("the sale to run", async () => (await at.number("Let in")) > 20 || undefined, RUN_MS);

  await at.button("Pause").click();
  await page.locator(".badge").filter({ hasText: "Paused" }).first().waitFor();
  const shopper = await Visitor.come(browser);
  const address = (await page.getByRole("link", { name: "The shoppers’ page" }).getAttribute("href")) ?? "";
  const line = new ShopperPage(await shopper.openTab(shop.url + address));
  await line.join();
  await at.set("Message to everybody who waits", "We are counting the lamps.");
  await line.page.getByText("We are counting the lamps.").waitFor();
  // From here on, until it goes on, nobody is let in, however many come.
  const letIn = await at.number("Let in");
  await until("the whole crowd", async () => (await at.number("Waiting")) > CROWD * 0.8 || undefined, RUN_MS);
  assert.equal(await at.number("Let in"), letIn, "a pause lets nobody in");
  await at.set("Most admissions per second", "60");
  await page.getByLabel("Most admissions per second").blur();
  await photograph(page, "console-running");
  await at.button("Resume").click();
  await page.locator(".badge").filter({ hasText: "Open" }).first().waitFor();
  await until("more to be let in", async () => (await at.number("Let in")) > letIn || undefined, RUN_MS);
  await page.getByRole("link", { name: "What was changed" }).click();
  await page.getByRole("row").filter({ hasText: "rate cap per s: 20 → 60" }).waitFor();
  await page.goBack();

  await page.locator("[data-verdict]").filter({ hasText: "Passed: every promise was kept." }).waitFor({ timeout: RUN_MS });
  await photograph(page, "console-rehearsed");
  await line.heading(/Sold out|The sale is closed|run out/).waitFor();
  await shopper.go(CUT_OFF);
  await page.getByRole("link", { name: "Its report" }).click();
  await page.locator(".verdict[data-state=passed]").filter({ hasText: /each to whoever was next/ }).waitFor();
  await page.getByText(UNITS.toLocaleString("en-GB"), { exact: true }).first().waitFor();
  await photograph(page, "console-rehearsal-report");
  await at.visitor.go(REFUSED, CUT_OFF);
});
