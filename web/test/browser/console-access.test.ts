/** Signing in to the console, roles, lost connections, and the console on a phone. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Locator, WebSocketRoute } from "playwright-core";
import { PHONE, photograph, Visitor } from "./browser";
import { ConsolePage, CUT_OFF, PASSWORD, REFUSED } from "./console-page";
import { browser, demo, LIMIT } from "./setup";
import { totp } from "./totp";
import { until } from "./until";

/** The text of an element, once it has one. */
async function filled(element: Locator): Promise<string | undefined> {
  const text = await element.textContent();
  return text === "" ? undefined : (text ?? undefined);
}

test("the first operator is set up, signs in and adds others, whose roles limit what they can do", LIMIT, async () => {
  const visitor = await Visitor.open(browser);
  const page = await visitor.openTab(demo.adminUrl);
  await page.getByText("Set up the first operator").click();
  const first = page.locator("form[data-first]");
  await first.getByLabel("Admin token").fill("not the token");
  await first.getByLabel("Name").fill("ada");
  await first.getByLabel("Password").fill(PASSWORD);
  await first.getByRole("button", { name: "Create owner" }).click();
  await page.locator("#sign-in [role=alert]").filter({ hasText: /admin token/ }).waitFor();
  await photograph(page, "console-sign-in");
  await first.getByLabel("Admin token").fill(demo.adminToken);
  await first.getByRole("button", { name: "Create owner" }).click();
  const secret = await until("the authenticator secret", () => filled(page.locator("#sign-in output")));
  await page.getByRole("img", { name: "QR code of the authenticator secret for ada" }).waitFor();
  await photograph(page, "console-first");
  const form = page.locator("form[data-sign-in]");
  assert.equal(await form.getByLabel("Name").inputValue(), "ada");
  await form.getByLabel("Password").fill(PASSWORD);
  await form.getByLabel("Code").fill("000000");
  await form.getByRole("button", { name: "Sign in" }).click();
  await page.locator("#sign-in [role=alert]").filter({ hasText: /Invalid name, password or code/ }).waitFor();
  await form.getByLabel("Code").fill(totp(secret));
  await form.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Sales" }).waitFor();
  await photograph(page, "console-sales");
  await page.reload();
  await page.getByRole("heading", { name: "Sales" }).waitFor();

  await page.getByRole("link", { name: "Operators" }).click();
  await page.locator("#screen").getByLabel("Name", { exact: true }).fill("vera");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  const code = await until("the enrolment code", () => filled(page.locator("#screen .enrolment output")));
  await page.getByRole("rowheader", { name: "vera" }).waitFor();
  await photograph(page, "console-operators");

  const sale = await demo.create({ name: "Viewed lamp" });
  const viewer = await Visitor.open(browser);
  const viewerPage = await viewer.openTab(demo.adminUrl);
  // Only the viewer sees her own password and authenticator secret.
  await viewerPage.getByText("Use an enrolment code").click();
  const enrolment = viewerPage.locator("form[data-enrol]");
  await enrolment.getByLabel("Code").fill(code);
  await enrolment.getByLabel("Choose a password").fill(PASSWORD);
  await enrolment.getByRole("button", { name: "Set password" }).click();
  const viewerSecret = await until("the viewer's authenticator secret", () => filled(viewerPage.locator("#sign-in output")));
  const signIn = viewerPage.locator("form[data-sign-in]");
  assert.equal(await signIn.getByLabel("Name").inputValue(), "vera");
  await signIn.getByLabel("Password").fill(PASSWORD);
  await signIn.getByLabel("Code").fill(totp(viewerSecret));
  await signIn.getByRole("button", { name: "Sign in" }).click();
  await viewerPage.getByRole("link", { name: "Viewed lamp" }).click();
  await viewerPage.getByRole("heading", { name: "Viewed lamp" }).waitFor();
  assert.equal(await viewerPage.getByRole("button", { name: "Open now" }).isVisible(), false);
  assert.equal(await viewerPage.getByRole("link", { name: "Operators" }).isVisible(), false);
  assert.equal(await viewerPage.getByLabel("Shoppers", { exact: true }).isVisible(), false);
  await photograph(viewerPage, "console-viewer");
  await viewerPage.goto(`${demo.adminUrl}#/new`);
  await viewerPage.getByRole("heading", { name: "Access denied" }).waitFor();
  await photograph(viewerPage, "console-not-allowed");
  await viewerPage.goto(`${demo.adminUrl}#/sales`);
  const roles = page.getByLabel("Role of vera", { exact: true });
  await roles.selectOption("operator");
  await page.getByRole("button", { name: "Save role: vera" }).click();
  await page.locator("#confirm").getByRole("button", { name: "Go back" }).click();
  await until("the role to be reset", async () => (await roles.inputValue()) === "viewer" || undefined);
  await roles.selectOption("operator");
  await page.getByRole("button", { name: "Save role: vera" }).click();
  await page.locator("#confirm").getByRole("button", { name: "Change role" }).click();
  await page.getByText("Role of vera changed to operator.").waitFor();
  await page.getByRole("button", { name: "Remove: vera" }).click();
  await page.locator("#confirm").getByRole("button", { name: "Remove", exact: true }).click();
  await viewerPage.getByText("Your session has ended. Please sign in again.").waitFor();
  assert.equal((await demo.sale(sale)).status, "scheduled");
  await viewer.close(REFUSED, CUT_OFF);

  await page.getByRole("button", { name: "ada (owner)" }).click();
  await photograph(page, "console-account");
  await page.getByLabel("Current password").fill(PASSWORD);
  await page.getByLabel("New password").fill("another good password");
  await page.getByRole("button", { name: "Change password" }).click();
  await page.getByText("Password changed.").waitFor();
  await visitor.close(REFUSED, CUT_OFF);
});

test("out-of-date data is marked, and a refused socket shows its reason", LIMIT, async () => {
  const sale = await demo.create({ name: "Quiet lamp", mode: "yield" });
  const at = await ConsolePage.open(browser, demo, "nora", "operator");
  const { page } = at;
  const sockets: WebSocketRoute[] = [];
  let isMuted = false;
  await page.clock.install();
  await page.routeWebSocket(/\/admin\/live/, (socket) => {
    sockets.push(socket);
    socket.connectToServer().onMessage((message) => { if (!isMuted) socket.send(message); });
  });
  await at.goTo(`#/sales/${sale.id}`);
  await page.getByRole("heading", { name: "Quiet lamp" }).waitFor();
  const note = page.locator("#connection");
  isMuted = true;
  await page.clock.fastForward(13_000);
  await note.filter({ hasText: /No connection to the controller since \d\d:\d\d:\d\d/ }).waitFor();
  await photograph(page, "console-silence");
  isMuted = false;
  const before = sockets.length;
  await page.clock.fastForward(13_000);
  await note.waitFor({ state: "hidden" });
  assert.ok(sockets.length > before, "the console has reconnected");

  await at.goTo("#/sales/00000000-0000-4000-8000-000000000000");
  await page.locator("#trouble").filter({ hasText: /no such sale/i }).waitFor();
  await at.goTo(`#/sales/${sale.id}`);
  await page.getByRole("heading", { name: "Quiet lamp" }).waitFor();
  await photograph(page, "console-yield");

  // Signed out in another tab: a request finds the reason that the browser hides.
  const other = await at.visitor.openTab(demo.adminUrl);
  await other.getByRole("button", { name: "Sign out" }).click();
  await other.getByRole("heading", { name: "Sign in" }).waitFor();
  await sockets.at(-1)?.close({ code: 1011 });
  await page.clock.fastForward(1_000);
  await page.locator("#sign-in [role=alert]").filter({ hasText: /sign in again/ }).waitFor();
  await at.visitor.close(REFUSED, CUT_OFF, /status of 404/);
});

test("a sale is run from a phone", LIMIT, async () => {
  const sale = await demo.create({ name: "Pocket lamp" });
  const at = await ConsolePage.open(browser, demo, "petra", "operator", { viewport: PHONE, hasTouch: true, isMobile: true });
  const { page } = at;
  await page.getByRole("link", { name: "Pocket lamp" }).tap();
  await page.getByRole("heading", { name: "Pocket lamp" }).waitFor();
  await at.button("Open now").tap();
  await at.answer("Open sale");
  await at.status("Open").waitFor();
  await at.button("Pause").tap();
  await at.status("Paused").waitFor();
  await page.getByLabel("Message to waiting shoppers").fill("Soon.");
  await at.button("Publish").tap();
  await until("the message", async () => (await demo.sale(sale)).message === "Soon." || undefined);
  await page.getByRole("link", { name: "Audit log", exact: true }).tap();
  await page.getByRole("row").filter({ hasText: "Soon." }).waitFor();
  await photograph(page, "console-pocket-audit");
  await at.visitor.close(REFUSED, CUT_OFF);
});
