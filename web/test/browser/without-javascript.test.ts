/** The pages in a browser without JavaScript. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { photograph, Visitor } from "./browser";
import { browser, demo, LIMIT, visit } from "./setup";
import { ShopperPage } from "./shopper-page";

const WITHOUT_JAVASCRIPT = { javaScriptEnabled: false };
const THEME = { accent: "#7a0019", waiting_text: "Tea is ready.", turn_text: "Mind the step.", sold_out_text: "All gone." };

/**
 * Waits for a heading and photographs a copy of the page in a browser with JavaScript, which axe
 * needs. The copy shows the contents of `noscript` and has no scripts.
 */
async function photographCopy(at: ShopperPage, heading: string | RegExp, name: string, accent?: string): Promise<void> {
  await at.heading(heading).waitFor();
  const body = (await at.page.content()).replace(/<script[^]*?<\/script>|<\/?noscript>/g, "");
  const copy = await Visitor.open(browser);
  const page = await copy.context.newPage();
  await page.route(at.page.url(), (route) => route.fulfill({ contentType: "text/html; charset=utf-8", body }));
  await page.goto(at.page.url());
  await new ShopperPage(page).heading(heading).waitFor();
  if (accent !== undefined) {
    assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue("--accent").trim()), accent);
  }
  await photograph(page, `without-javascript-${name}`);
  await copy.close();
}

test("without JavaScript the line is a page that refreshes itself", LIMIT, async () => {
  const sale = await demo.create();
  const first = await visit(sale);
  await first.at.join();

  const { visitor, at } = await visit(sale, { javaScriptEnabled: false });
  await at.button("Join the line").click();
  await at.heading("1 person ahead of you").waitFor();
  const again = await at.page.goto(`${demo.pageUrl(sale)}/line`);
  assert.match(again?.headers().refresh ?? "", /^\d+/);
  await at.heading("1 person ahead of you").waitFor();

  await first.at.button("Leave the line").click();
  await first.at.page.getByRole("dialog").getByRole("button", { name: "Leave", exact: true }).click();
  await first.at.heading("You left the line").waitFor();
  await photograph(first.at.page, "left");
  await at.heading("You are at the front of the line").waitFor();

  await demo.command(sale, "open");
  await at.heading("It’s your turn").waitFor();
  await visitor.close();
  await first.visitor.close();
});

test("without JavaScript every state has an accessible page, in the colours of the sale", LIMIT, async () => {
  const sale = await demo.create({ total: 1, token_ttl_s: 120, theme: THEME });
  const buyer = await visit(sale, WITHOUT_JAVASCRIPT);
  await photographCopy(buyer.at, "Opens soon", "outside");
  await buyer.at.button("Join the line").click();
  await buyer.at.heading("You are at the front of the line").waitFor();
  const other = await visit(sale, WITHOUT_JAVASCRIPT);
  await other.at.button("Join the line").click();
  await demo.change(sale, { message: "Back soon." });
  await other.at.page.getByText("Back soon.").waitFor();
  await other.at.page.getByText("Tea is ready.").waitFor();
  await photographCopy(other.at, "1 person ahead of you", "scheduled", THEME.accent);

  await demo.command(sale, "open");
  await buyer.at.page.getByText("Mind the step.").waitFor();
  await buyer.at.page.getByRole("link", { name: "Continue" }).click();
  await buyer.at.page.getByRole("link", { name: "Go to checkout" }).waitFor();
  await photographCopy(buyer.at, "It’s your turn", "turn", THEME.accent);
  await demo.command(sale, "pause");
  await other.at.page.getByText("The sale is paused.").waitFor();
  await photographCopy(other.at, "You are at the front of the line", "paused");
  await demo.removeTicket(sale, "2");
  await photographCopy(other.at, "The shop removed you from the line", "removed");
  await other.at.button("Join again").click();
  await other.at.heading("You are at the front of the line").waitFor();

  // The shopper buys with JavaScript; the page without it shows the outcome.
  const scripted = await Visitor.open(browser, { storageState: await buyer.visitor.context.storageState() });
  const checkout = new ShopperPage(await scripted.openTab(demo.pageUrl(sale)));
  await checkout.checkOut();
  await checkout.pay();
  await checkout.heading("Order confirmed").waitFor();
  await scripted.close();
  await photographCopy(buyer.at, "You have already used your turn", "bought");
  await demo.command(sale, "resume");
  await other.at.page.getByText("All gone.").waitFor();
  await photographCopy(other.at, "Sold out", "sold-out");
  await buyer.at.page.goto(demo.pageUrl(sale));
  await photographCopy(buyer.at, "Finding your place", "joined");
  await buyer.visitor.close();
  await other.visitor.close();
});

test("without JavaScript a turn expires, a sale closes, a draw waits, and a lane requires an invitation", LIMIT, async () => {
  const sale = await demo.create({ token_ttl_s: 10, claim_window_s: 10 });
  const { visitor, at } = await visit(sale, WITHOUT_JAVASCRIPT);
  await at.button("Join the line").click();
  await demo.command(sale, "open");
  await at.page.getByRole("link", { name: "Continue" }).click();
  await photographCopy(at, "Your turn has expired", "expired");
  await demo.command(sale, "pause");
  await at.button("Join again").click();
  await at.heading("You are at the front of the line").waitFor();
  await demo.command(sale, "close");
  await photographCopy(at, "The sale is closed", "closed");
  await visitor.close();

  const drawn = await demo.create({ order: "draw", theme: THEME });
  const inDraw = await visit(drawn, WITHOUT_JAVASCRIPT);
  await inDraw.at.button("Join the line").click();
  await inDraw.at.page.getByText("Tea is ready.").waitFor();
  await photographCopy(inDraw.at, /in the draw, including you/, "draw");
  await inDraw.visitor.close();

  const uninvited = await Visitor.open(browser);
  const lane = new ShopperPage(await uninvited.openTab(await demo.addLane(await demo.create(), "vip")));
  await lane.page.getByLabel("Invitation code").waitFor();
  await photograph(lane.page, "not-invited");
  await lane.page.getByLabel("Invitation code").fill("nonsense");
  await lane.button("Continue").click();
  await lane.page.getByText("This invitation is not valid for this line.").waitFor();
  await photograph(lane.page, "no-invitation");
  await uninvited.close();
});
