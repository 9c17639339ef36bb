/** A rehearsal of a whole sale, run from the console. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { photograph, Visitor } from "./browser";
import { ConsolePage, CUT_OFF, REFUSED } from "./console-page";
import { browser, demo } from "./setup";
import { ShopperPage } from "./shopper-page";
import { until } from "./until";

const SHOPPERS = 5_000;
const UNITS = 1_000;
/** A slow machine may take this long for the whole sale. */
const RUN_MS = 540_000;
const LIMIT = { timeout: 600_000 };

test("a rehearsal with five thousand shoppers is paused, sent a message, sped up and reported", LIMIT, async () => {
  const at = await ConsolePage.open(browser, demo, "rita", "operator");
  const { page } = at;
  await page.getByRole("link", { name: "Create sale" }).click();
  const form = page.locator("#create");
  await form.getByLabel("Name", { exact: true }).fill("Rehearsed lamp");
  await form.getByLabel("URL slug").fill("rehearsed-lamp");
  await form.getByLabel("Total units", { exact: true }).fill(String(UNITS));
  await form.getByLabel("Maximum admissions per second").fill("20");
  await form.getByLabel("Opens at").fill("2099-07-01T10:00");
  // Some simulated shoppers let their time run out, so the time limits are short.
  await form.getByLabel("Time to claim a turn").fill("10");
  await form.getByLabel("Time to reach checkout").fill("15");
  await form.getByLabel("Time to pay").fill("20");
  await at.button("Create sale").click();
  await page.getByRole("heading", { name: "Rehearsed lamp" }).waitFor();

  await page.getByLabel("Shoppers", { exact: true }).fill(String(SHOPPERS));
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
  assert.equal(await at.button("Start rehearsal").isVisible(), false, "a copy cannot be rehearsed");
  await until("the first admissions", async () => (await at.number("Admitted")) > 20 || undefined, RUN_MS);

  await at.button("Pause").click();
  await at.status("Paused").waitFor();
  const shopper = await Visitor.open(browser);
  const address = (await page.getByRole("link", { name: "Shopper page" }).getAttribute("href")) ?? "";
  const line = new ShopperPage(await shopper.openTab(demo.url + address));
  await line.join();
  await at.set("Message to waiting shoppers", "We are counting the lamps.");
  await line.page.getByText("We are counting the lamps.").waitFor();
  // Paused: no shopper is admitted until the sale resumes.
  const admitted = await at.number("Admitted");
  await until("most of the shoppers", async () => (await at.number("Waiting")) > SHOPPERS * 0.8 || undefined, RUN_MS);
  assert.equal(await at.number("Admitted"), admitted, "a pause admits no shopper");
  await at.set("Maximum admissions per second", "60");
  await page.getByLabel("Maximum admissions per second").blur();
  await photograph(page, "console-running");
  await at.button("Resume").click();
  await at.status("Open").waitFor();
  await until("further admissions", async () => (await at.number("Admitted")) > admitted || undefined, RUN_MS);
  await page.getByRole("link", { name: "Audit log of this sale" }).click();
  await page.getByRole("row").filter({ hasText: "rate cap per s: 20 → 60" }).waitFor();
  await page.goBack();

  await page.locator("[data-verdict]").filter({ hasText: "Passed: every promise was kept." }).waitFor({ timeout: RUN_MS });
  await photograph(page, "console-rehearsed");
  await line.heading(/Sold out|The sale is closed|expired/).waitFor();
  await shopper.close(CUT_OFF);
  await page.getByRole("link", { name: "Rehearsal report" }).click();
  await page.locator(".verdict[data-state=passed]").filter({ hasText: /The record was replayed/ }).waitFor();
  await page.getByText(UNITS.toLocaleString("en-GB"), { exact: true }).first().waitFor();
  await photograph(page, "console-rehearsal-report");
  await at.visitor.close(REFUSED, CUT_OFF);
});
