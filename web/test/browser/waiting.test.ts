/** The page of a waiting shopper, with messages of a scripted line and a clock set by tests. */

import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { BrowserContextOptions, Page } from "playwright-core";
import type { AdminSale, LineMessage } from "../../src/shared/api";
import { PHONE, photograph, setVisibility, Visitor } from "./browser";
import { HttpProxy } from "./http-proxy";
import { place, ScriptedLine } from "./scripted-line";
import { browser, demo, LIMIT } from "./setup";
import { ShopperPage } from "./shopper-page";
import { until } from "./until";

const SECOND_MS = 1_000;

let sale: AdminSale;

before(async () => {
  sale = await demo.create({ name: "Harbour mug", total: 400 });
}, LIMIT);

/** A shopper who waits in a scripted line. */
async function wait(first: LineMessage, options: BrowserContextOptions = {}): Promise<{ visitor: Visitor; at: ShopperPage; line: ScriptedLine }> {
  const visitor = await Visitor.open(browser, { viewport: PHONE, ...options });
  await visitor.context.clock.install();
  const page = await visitor.openTab(demo.pageUrl(sale));
  const at = new ShopperPage(page);
  const line = await ScriptedLine.install(page, sale, first);
  await at.button("Join the line").click();
  await page.locator("[data-ticket]:not([data-ticket=outside], [data-ticket=joining])").waitFor();
  return { visitor, at, line };
}

interface Change {
  atMs: number;
  place: string;
}

/** Records every change of the document from now on: the time, and the place shown. */
async function recordChanges(page: Page): Promise<() => Promise<Change[]>> {
  await page.evaluate(() => {
    const shown = document.querySelector("[data-text=place]");
    const changes: Change[] = [];
    Object.assign(globalThis, { changes });
    const record = (): void => { changes.push({ atMs: performance.now(), place: shown?.textContent ?? "" }); };
    new MutationObserver(record).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
  });
  return () => page.evaluate(() => (globalThis as unknown as { changes: Change[] }).changes);
}

const places = (changes: Change[]): number[] => changes.map((change) => Number(change.place.replaceAll(",", "")));

test("the place counts down once a second, and grows only by recalled shoppers", LIMIT, async () => {
  const { visitor, at, line } = await wait(place({ place: 417, rate_per_s: 4 }));
  const changes = await recordChanges(at.page);
  await at.page.clock.runFor(4 * SECOND_MS);
  const counted = places(await changes());
  assert.ok(counted.length >= 4, counted.join());
  assert.ok(counted.every((now, index) => now < (counted[index - 1] ?? 418)), counted.join());
  const times = (await changes()).map(({ atMs }) => atMs);
  assert.ok((times.at(-1) ?? 0) - (times[0] ?? 0) > 0.9 * SECOND_MS * (times.length - 1), times.join());

  line.send(place({ place: 417, behind: 121 }));
  await at.page.locator("[data-text=behind]").filter({ hasText: "121" }).waitFor();
  const shown = places(await changes()).at(-1) ?? 0;
  assert.ok(shown < 417, "the place shown does not grow");
  line.send(place({ place: 420, recalled: 3, rate_per_s: 1 }));
  await at.page.getByText("3 people who missed their turn came back.").waitFor();
  assert.equal(places(await changes()).at(-1), shown + 3);
  await photograph(at.page, "waiting-came-back");
  await visitor.close();
});

test("a page without news paints nothing, and a hidden page has no timer", LIMIT, async () => {
  const { visitor, at, line } = await wait(place({ place: 417 }));
  await at.page.clock.runFor(SECOND_MS);
  const changes = await recordChanges(at.page);
  await at.page.clock.runFor(3 * SECOND_MS);
  assert.deepEqual(await changes(), []);

  await setVisibility(at.page, "hidden");
  line.send(place({ place: 400, rate_per_s: 20 }));
  // The countdown starts with the message: the first step to 399 may already have happened.
  await until("the title with the new place", async () => (/^(400|399) ahead/.test(await at.page.title()) ? true : undefined));
  const before = (await changes()).length;
  await at.page.clock.runFor(3 * SECOND_MS);
  assert.equal((await changes()).length, before);
  await setVisibility(at.page, "visible");
  assert.ok(Number(await at.page.locator("[data-text=place]").textContent()) <= 340, "the place is up to date at once");
  await visitor.close();
});

test("long numbers, long waits and long messages fit on small screens", LIMIT, async () => {
  const far = place({ ordinal: 12_345_678, place: 1_234_567, behind: 10_987_654, wait: { likely_s: [5_500, 9_000], bounds_s: [3_000, 30_000] } });
  for (const colorScheme of ["light", "dark"] as const) {
    const { visitor, at, line } = await wait(far, { colorScheme });
    line.changeSale({ message: "Every mug is glazed by hand, so no two are the same. Thank you for your patience." });
    await at.page.getByText("glazed by hand").waitFor();
    await at.page.getByText("90 % of shoppers wait between 50 minutes and 9 hours").waitFor();
    await photograph(at.page, `waiting-far-${colorScheme}`);
    line.send({ ...far, place: 1_235_001, recalled: 1_234, beyond_stock: true });
    await at.page.getByText("The sale may sell out before your turn.").waitFor();
    await at.page.getByText("If you stay, you may still get an item").waitFor();
    await at.page.getByText("434 people who missed their turn came back.").waitFor();
    await photograph(at.page, `waiting-beyond-stock-${colorScheme}`);
    await visitor.close();
  }
});

test("messages without optional fields are shown", LIMIT, async () => {
  const { type, ordinal, place: ahead, behind } = place({});
  const { visitor, at, line } = await wait({ type, ordinal, place: ahead, behind, wait: { likely_s: [20, 40] } } as LineMessage);
  await at.heading("417 people ahead of you").waitFor();
  await at.page.getByText("20 to 40 seconds", { exact: true }).waitFor();
  line.send({ type, ordinal, place: 3, behind } as LineMessage);
  await at.heading("3 people ahead of you").waitFor();
  await at.page.getByText("not available yet", { exact: true }).waitFor();
  await visitor.close();
});

test("a shopper who missed the turn sees it and can join again", LIMIT, async () => {
  const { visitor, at, line } = await wait({ type: "over", outcome: "missed" });
  await at.heading("You missed your turn").waitFor();
  await photograph(at.page, "missed");
  line.send(place({ ordinal: 1_500, place: 800 }));
  await at.button("Join again").focus();
  await at.page.keyboard.press("Enter");
  await at.heading("800 people ahead of you").waitFor();
  assert.match(line.connections.at(-1) ?? "", /[?&]rejoin=true(&|$)/);
  await visitor.close();
});

test("a screen reader announces recalled shoppers after a pause, and not every step", LIMIT, async () => {
  const { visitor, at, line } = await wait(place({ place: 417, rate_per_s: 5 }), { reducedMotion: "reduce" });
  const announcer = at.page.locator("[data-announcer]");
  const first = (await announcer.textContent()) ?? "";
  assert.match(first, /^41\d people ahead of you\. Estimated wait: 2 to 4 minutes\.$/);
  line.send(place({ place: 430, recalled: 15 }));
  await at.page.locator("[data-show=back]").waitFor();
  await at.page.clock.runFor(2 * SECOND_MS);
  assert.equal(await announcer.textContent(), first, "the pause after an announcement is 20 seconds");
  await at.page.clock.runFor(20 * SECOND_MS);
  await announcer.filter({ hasText: /^\d+ people who missed their turn came back\./ }).waitFor();
  assert.equal(await at.page.evaluate(() => document.getAnimations().length), 0, "reduced motion has no animations");
  await visitor.close();
});

test("a page whose WebSocket is refused asks once for the reason, and respects Retry-After", LIMIT, async () => {
  const proxy = await HttpProxy.start(demo.url);
  const visitor = await Visitor.open(browser);
  const at = new ShopperPage(await visitor.openTab(`${proxy.url}/sales/${sale.slug}`));
  await at.join();
  const ticket = await at.ticket();
  proxy.retryAfterS = 4;
  proxy.closeConnections();
  await at.trouble.filter({ hasText: "very busy" }).waitFor();
  const [refused, inquiry] = proxy.rejected;
  assert.deepEqual([refused?.upgrade, inquiry?.upgrade], [true, false]);
  await setVisibility(at.page, "hidden");
  await setVisibility(at.page, "visible");
  const next = await until("the next request of the page", () => proxy.rejected[2]);
  assert.ok(next.atMs - (inquiry?.atMs ?? 0) >= 4 * SECOND_MS, "a page that becomes visible does not ask sooner");
  proxy.retryAfterS = undefined;
  await at.trouble.waitFor({ state: "hidden", timeout: 60 * SECOND_MS });
  assert.equal(await at.ticket(), ticket);
  await visitor.close(/Unexpected response code: 503/, /status of 503/, /ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/);
  await proxy.stop();
});
