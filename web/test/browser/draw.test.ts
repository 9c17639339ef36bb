/** A sale that begins with a draw, and the proof of the draw. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { photograph } from "./browser";
import { demo, LIMIT, visit } from "./setup";
import { until } from "./until";

interface DrawFacts {
  commitment: string;
  pool: number | null;
  seed: string | null;
}

test("shoppers wait for a draw that the shop has committed to, and the record proves it", LIMIT, async () => {
  const sale = await demo.create({ name: "Numbered print", total: 1, order: "draw" });
  const facts = async (): Promise<DrawFacts> => ((await (await fetch(`${demo.url}/api/flash-sales/${sale.id}/status`)).json()) as { draw: DrawFacts }).draw;
  const before = await facts();
  assert.deepEqual([before.pool, before.seed], [null, null]);

  const shoppers = await Promise.all(Array.from({ length: 5 }, async () => {
    const { visitor, at } = await visit(sale);
    await at.button("Join the line").click();
    await at.heading(/in the draw/).waitFor();
    return { visitor, at };
  }));
  const [first] = shoppers;
  assert.ok(first);
  await first.at.heading("5 in the draw, including you").waitFor();
  assert.match((await first.at.page.locator("[data-draw] code").textContent()) ?? "", new RegExp(before.commitment));
  assert.equal(await first.at.page.locator("[data-draw] a").getAttribute("href"), `/api/flash-sales/${sale.id}/record`);
  await photograph(first.at.page, "draw");

  await demo.command(sale, "open");
  await Promise.all(shoppers.map(({ at }) => at.heading(/ahead of you|front of the line|It’s your turn/).waitFor()));
  const drawn = await until("the seed to be published", async () => { const now = await facts(); return now.seed === null ? undefined : now; });
  assert.equal(drawn.commitment, before.commitment);
  assert.equal(createHash("sha256").update(Buffer.from(drawn.seed ?? "", "hex")).digest("hex"), before.commitment);
  assert.equal(drawn.pool, 5);

  const { code, output } = await demo.verify(sale);
  assert.equal(code, 0, output);
  assert.match(output, /The order was honest[^]*a draw of 5 tickets, made with the committed seed/);
  await Promise.all(shoppers.map(({ visitor }) => visitor.close()));
});
