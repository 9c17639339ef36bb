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
  await first.getByRole("button", { name: "Create owner" }).click();
  await page.locator("#sign-in [role=alert]").filter({ hasText: /admin token/ }).waitFor();
  await photograph(page, "console-sign-in");
  await first.getByLabel("Admin token").fill(shop.adminToken);
  await first.getByRole("button", { name: "Create owner" }).click();
  const secret = await until("the secret", () => filled(page.locator("#sign-in output")));
  await page.getByRole("img", { name: "QR code of the authenticator secret for ada" }).waitFor();
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
  await theirs.getByText("Use an enrolment code").click();
  const begin = theirs.locator("form[data-enrol]");
  await begin.getByLabel("Code").fill(code);
  await begin.getByLabel("Choose a password").fill(PASSWORD);
  await begin.getByRole("button", { name: "Set password" }).click();
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
  await theirs.getByRole("heading", { name: "Access denied" }).waitFor();
  await photograph(theirs, "console-not-allowed");
  await theirs.goto(`${shop.adminUrl}#/sales`);
  const roles = page.getByLabel("Role of vera", { exact: true });
  await roles.selectOption("operator");
  await page.getByRole("button", { name: "Save role: vera" }).click();
  await page.locator("#confirm").getByRole("button", { name: "Go back" }).click();
  await until("the role to stand as it is", async () => (await roles.inputValue()) === "viewer" || undefined);
  await roles.selectOption("operator");
  await page.getByRole("button", { name: "Save role: vera" }).click();
  await page.locator("#confirm").getByRole("button", { name: "Change role" }).click();
  await page.getByText("Role of vera changed to operator.").waitFor();
  await page.getByRole("button", { name: "Remove: vera" }).click();
  await page.locator("#confirm").getByRole("button", { name: "Remove", exact: true }).click();
  await theirs.getByText("Your session has ended. Please sign in again.").waitFor();
  assert.equal((await shop.sale(sale)).status, "scheduled");
  await viewer.go(REFUSED, CUT_OFF);

  await page.getByRole("button", { name: "ada (owner)" }).click();
  await photograph(page, "console-account");
  await page.getByLabel("Current password").fill(PASSWORD);
  await page.getByLabel("New password").fill("another good password");
  await page.getByRole("button", { name: "Change password" }).click();
  await page.getByText("Password changed.").waitFor();
  await visitor.go(REFUSED, CUT_OFF);
});

test("a sale is created with a preview, copied, and steered; the log shows it all", LIMIT, async () => {
  const at = await ConsolePage.enter(browser, shop, "otto", "owner");
  const { page } = at;
  await page.getByRole("link", { name: "Create sale" }).click();
  await page.locator("#create").getByLabel("Name", { exact: true }).fill("Console lamp");
  await page.getByLabel("URL slug").fill("console-lamp");
  const price = page.getByLabel("Price");
  await price.fill("12.509");
  await at.button("Create sale").click();
  assert.equal(await price.evaluate((input: HTMLInputElement) => input.validationMessage), "The smallest amount in this currency is €0.01.");
  await price.fill("12.50");
  await page.getByLabel("Time zone").selectOption("America/New_York");
  await page.getByLabel("Opens at").fill("2099-07-01T10:00");
  await page.getByLabel("Text while waiting").fill("Tea is ready.");
  await page.getByLabel("Custom accent").check();
  await page.getByLabel("Accent colour", { exact: true }).fill("#ffee00");
  await page.getByText("Links in this accent colour are hard to read").waitFor();
  await page.getByRole("button", { name: "Create sale" }).click();
  await page.locator("#trouble").filter({ hasText: /accent/ }).waitFor();
  await page.getByLabel("Accent colour", { exact: true }).fill("#7a0019");
  const preview = page.getByRole("complementary", { name: "Preview" });
  await preview.getByText("Console lamp").waitFor();
  await preview.getByText("€12.50").waitFor();
  await preview.getByText("Tea is ready.").waitFor();
  await page.getByText(/10:00 \(America\/New_York\), /).waitFor();
  await photograph(page, "console-new");
  await page.getByRole("button", { name: "Create sale" }).click();
  await page.getByRole("heading", { name: "Console lamp" }).waitFor();
  await page.getByText(/10:00 \(America\/New_York\)/).waitFor();

  // A lane, and an invitation to it that somebody follows.
  await page.getByText("Lanes", { exact: true }).click();
  await page.getByLabel("Lane name").fill("vip");
  await page.getByLabel("Share of admissions (%)").fill("25");
  await at.button("Add lane").click();
  await page.getByRole("rowheader", { name: "vip" }).waitFor();
  await at.button("Create invitations").click();
  const links = page.getByLabel("Invitation links");
  await until("the invitation", async () => (await links.inputValue()) || undefined);
  await at.set("Share of vip (%)", "30");
  await until("the waiting room to hear of the lane", async () => (await fetch(await links.inputValue())).ok || undefined);
  const guest = await Visitor.come(browser);
  const invited = new ShopperPage(await guest.openTab(await links.inputValue()));
  await invited.page.getByText("By invitation: vip").waitFor();
  await photograph(invited.page, "invited");
  await guest.go();

  await at.button("Open now").click();
  await at.answer("Go back");
  assert.equal((await page.locator(".badge").first().textContent()), "Opens soon");
  await at.button("Open now").click();
  await at.answer("Open sale");
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
  await at.set("Message to waiting shoppers", "Back in a minute.");
  await second.line.page.getByText("Back in a minute.").waitFor();
  await page.getByText("Texts and colours").click();
  const theme = page.locator(".theme");
  assert.equal(await theme.getByLabel("Text while waiting").inputValue(), "Tea is ready.");
  await theme.getByLabel("Text while waiting").fill("Coffee is ready.");
  await theme.getByLabel("Accent colour", { exact: true }).fill("#ffee00");
  await theme.getByText("Links in this accent colour are hard to read").waitFor();
  await theme.getByLabel("Accent colour", { exact: true }).fill("#00457c");
  await theme.getByRole("button", { name: "Save theme" }).click();
  await until("the page to look so", async () => {
    await second.line.page.reload();
    await second.line.page.getByText(/(Tea|Coffee) is ready\./).waitFor();
    return (await second.line.page.getByText("Coffee is ready.").isVisible()) || undefined;
  });
  await at.set("Maximum admissions per second", "2.5");
  await at.set("Total units", "3");
  await page.getByLabel("Ticket number", { exact: true }).fill("2");
  await page.getByLabel("Action").selectOption("remove");
  await at.button("Apply…").click();
  await photograph(page, "console-confirm");
  await at.answer("Remove ticket", "a robot");
  await second.line.heading("The shop removed you from the line").waitFor();
  await photograph(second.line.page, "shopper-removed");
  await page.getByLabel("Ticket number", { exact: true }).fill("3");
  await page.getByLabel("Action").selectOption("prefer");
  await at.button("Apply…").click();
  await at.answer("Serve next", "our mistake");
  await page.getByText("Ticket 3 is served next.").waitFor();
  await at.button("Resume").click();
  await third.line.heading("It’s your turn").waitFor();
  await page.getByLabel("Extra admissions").fill("5");
  await at.button("Admit now").click();
  await at.answer("Admit now");
  await page.getByText("Admitting 5 more shoppers now").waitFor();
  await until("both to be let in", async () => (await at.counter("Admitted").textContent()) === "2" || undefined);
  await at.button("Revoke all unused tokens…").click();
  await at.answer("Revoke tokens", "a leak");
  await page.getByText(/tokens? revoked/).waitFor();
  await photograph(page, "console-sale");
  for (const { shopper } of shoppers) await shopper.go(CUT_OFF);

  await page.getByRole("link", { name: "Copy sale" }).click();
  await page.getByRole("heading", { name: "Copy of Console lamp" }).waitFor();
  assert.equal(await page.getByLabel("Text while waiting").inputValue(), "Coffee is ready.");
  await photograph(page, "console-copy");
  assert.equal(await page.getByLabel("Price").inputValue(), "12.5");
  await page.goBack();

  await at.button("Close sale").click();
  await at.answer("Go back");
  await at.button("Close sale").click();
  await at.answer("Close sale");
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
  await page.getByRole("link", { name: "Change history" }).click();
  await page.getByRole("heading", { name: "Audit log of this sale" }).waitFor();
  await page.getByRole("row").filter({ hasText: "a robot" }).waitFor();
  assert.equal(await page.getByRole("row").filter({ hasText: "otto" }).filter({ hasText: "add operator" }).count(), 0);
  await page.getByRole("link", { name: "All entries" }).click();
  await page.getByRole("heading", { name: "Audit log", exact: true }).waitFor();
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download CSV" }).click();
  assert.equal((await download).suggestedFilename(), "audit.csv");

  await page.getByRole("link", { name: "Webhooks" }).click();
  await page.getByLabel("Endpoint URL").fill("http://127.0.0.1:9/hook");
  await at.button("Add webhook").click();
  await page.getByRole("rowheader", { name: "http://127.0.0.1:9/hook" }).waitFor();
  await photograph(page, "console-webhooks");
  await at.button(/^Delete http/).click();
  await at.answer("Delete webhook");
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
  await note.filter({ hasText: /No connection to the controller since \d\d:\d\d:\d\d/ }).waitFor();
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
  await at.answer("Open sale");
  await page.locator(".badge").filter({ hasText: "Open" }).first().waitFor();
  await at.button("Pause").tap();
  await page.locator(".badge").filter({ hasText: "Paused" }).first().waitFor();
  await page.getByLabel("Message to waiting shoppers").fill("Soon.");
  await at.button("Publish").tap();
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
  await page.getByRole("link", { name: "Create sale" }).click();
  const form = page.locator("#create");
  await form.getByLabel("Name", { exact: true }).fill("Rehearsed lamp");
  await form.getByLabel("URL slug").fill("rehearsed-lamp");
  await form.getByLabel("Total units", { exact: true }).fill(String(UNITS));
  await form.getByLabel("Maximum admissions per second").fill("20");
  await form.getByLabel("Opens at").fill("2099-07-01T10:00");
  // Some of the crowd dawdle until their time runs out: let that be short.
  await form.getByLabel("Claim window").fill("10");
  await form.getByLabel("Time to reach checkout").fill("15");
  await form.getByLabel("Time to pay").fill("20");
  await at.button("Create sale").click();
  await page.getByRole("heading", { name: "Rehearsed lamp" }).waitFor();

  await page.getByLabel("Shoppers", { exact: true }).fill(String(CROWD));
  await page.getByLabel("Arrival period (s)").fill("20");
  await page.getByLabel("Abandonment (%)").fill("10");
  await at.button("Start rehearsal").click();
  await at.answer("Go back");
  await at.button("Start rehearsal").click();
  await at.answer("Start rehearsal");
  await page.getByText("Rehearsal running.").first().waitFor();
  await at.button("Start rehearsal").waitFor({ state: "hidden" });
  await page.getByRole("link", { name: "View copy" }).click();
  await page.getByRole("heading", { name: "Rehearsal of Rehearsed lamp" }).waitFor();
  assert.equal(await at.button("Start rehearsal").isVisible(), false, "a copy is not rehearsed");
  await until("the sale to run", async () => (await at.number("Admitted")) > 20 || undefined, RUN_MS);

  await at.button("Pause").click();
  await page.locator(".badge").filter({ hasText: "Paused" }).first().waitFor();
  const shopper = await Visitor.come(browser);
  const address = (await page.getByRole("link", { name: "Shopper page" }).getAttribute("href")) ?? "";
  const line = new ShopperPage(await shopper.openTab(shop.url + address));
  await line.join();
  await at.set("Message to waiting shoppers", "We are counting the lamps.");
  await line.page.getByText("We are counting the lamps.").waitFor();
  // From here on, until it goes on, nobody is let in, however many come.
  const letIn = await at.number("Admitted");
  await until("the whole crowd", async () => (await at.number("Waiting")) > CROWD * 0.8 || undefined, RUN_MS);
  assert.equal(await at.number("Admitted"), letIn, "a pause admits no shopper");
  await at.set("Maximum admissions per second", "60");
  await page.getByLabel("Maximum admissions per second").blur();
  await photograph(page, "console-running");
  await at.button("Resume").click();
  await page.locator(".badge").filter({ hasText: "Open" }).first().waitFor();
  await until("more to be let in", async () => (await at.number("Admitted")) > letIn || undefined, RUN_MS);
  await page.getByRole("link", { name: "Change history" }).click();
  await page.getByRole("row").filter({ hasText: "rate cap per s: 20 → 60" }).waitFor();
  await page.goBack();

  await page.locator("[data-verdict]").filter({ hasText: "Passed: all guarantees held." }).waitFor({ timeout: RUN_MS });
  await photograph(page, "console-rehearsed");
  await line.heading(/Sold out|The sale is closed|expired/).waitFor();
  await shopper.go(CUT_OFF);
  await page.getByRole("link", { name: "Rehearsal report" }).click();
  await page.locator(".verdict[data-state=passed]").filter({ hasText: /each to whoever was next/ }).waitFor();
  await page.getByText(UNITS.toLocaleString("en-GB"), { exact: true }).first().waitFor();
  await photograph(page, "console-rehearsal-report");
  await at.visitor.go(REFUSED, CUT_OFF);
});
