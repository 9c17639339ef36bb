/** A sale that begins with a draw, as a shopper sees it; and its proof. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { openBrowser, photograph, Visitor } from "./browser";
import { Shop } from "./shop";
import { ShopperPage } from "./shopper-page";
import { until } from "./until";

const LIMIT = { timeout: 120_000 };

let shop: Shop;
let browser: Browser;

before(async () => {
  [shop, browser] = await Promise.all([Shop.start(), openBrowser()]);
}, LIMIT);

after(async () => {
  await Promise.all([browser.close(), shop.stop()]);
}, LIMIT);

interface DrawFacts {
  commitment: string;
  pool: number | null;
  seed: string | null;
}

test("shoppers wait for a draw that the shop is bound to, and its record proves it to anybody", LIMIT, async () => {
  const sale = await shop.create({ name: "Numbered print", total: 1, order: "draw" });
  const facts = async (): Promise<DrawFacts> => ((await (await fetch(`${shop.url}/api/flash-sales/${sale.id}/status`)).json()) as { draw: DrawFacts }).draw;
  const before = await facts();
  assert.deepEqual([before.pool, before.seed], [null, null]);

  const shoppers = await Promise.all(Array.from({ length: 5 }, async () => {
    const visitor = await Visitor.come(browser);
    const at = new ShopperPage(await visitor.openTab(`${shop.url}/sales/${sale.slug}`));
    await at.button("Join the line").click();
    await at.heading(/in the draw/).waitFor();
    return { visitor, at };
  }));
  const [first] = shoppers;
  assert.ok(first);
  await first.at.heading("5 in the draw: you and 4 others").waitFor();
  assert.match((await first.at.page.locator("[data-draw] code").textContent()) ?? "", new RegExp(before.commitment));
  assert.equal(await first.at.page.locator("[data-draw] a").getAttribute("href"), `/api/flash-sales/${sale.id}/record`);
  await photograph(first.at.page, "draw");

  await shop.command(sale, "open");
  await Promise.all(shoppers.map(({ at }) => at.heading(/ahead of you|front of the line|It’s your turn/).waitFor()));
  const drawn = await until("the seed to be shown", async () => { const now = await facts(); return now.seed === null ? undefined : now; });
  assert.equal(drawn.commitment, before.commitment);
  assert.equal(createHash("sha256").update(Buffer.from(drawn.seed ?? "", "hex")).digest("hex"), before.commitment);
  assert.equal(drawn.pool, 5);

  const { code, said } = await shop.verify(sale);
  assert.equal(code, 0, said);
  assert.match(said, /The order was honest[^]*a draw of 5, made with the seed that was committed to/);
  await Promise.all(shoppers.map(({ visitor }) => visitor.go()));
});
