import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import type { AdminSale, LineMessage } from "../../src/shared/api";
import { openBrowser, PHONE, photograph, Visitor } from "./browser";
import { Door } from "./door";
import { place, PlayedLine } from "./played-line";
import { Shop } from "./shop";
import { ShopperPage } from "./shopper-page";
import { until } from "./until";

const LIMIT = { timeout: 120_000 };
const SECOND_MS = 1_000;

let shop: Shop;
let browser: Browser;
let sale: AdminSale;

before(async () => {
  [shop, browser] = await Promise.all([Shop.start(), openBrowser()]);
  sale = await shop.create({ name: "Harbour mug", total: 400 });
}, LIMIT);

after(async () => {
  await Promise.all([browser.close(), shop.stop()]);
}, LIMIT);

/** A shopper who waits in a line that says `first`, and then what the test says. */
async function wait(first: LineMessage, options: BrowserContextOptions = {}): Promise<{ visitor: Visitor; at: ShopperPage; line: PlayedLine }> {
  const visitor = await Visitor.come(browser, { viewport: PHONE, ...options });
  const page = await visitor.openTab(`${shop.url}/sales/${sale.slug}`);
  const at = new ShopperPage(page);
  const line = await PlayedLine.play(page, sale, first);
  await at.button("Join the line").click();
  await page.locator("[data-ticket]:not([data-ticket=outside], [data-ticket=joining])").waitFor();
  return { visitor, at, line };
}

interface Sight {
  atMs: number;
  place: string;
}

/** Notes every change of the page from now on: when, and which place it shows. */
async function watch(page: Page): Promise<() => Promise<Sight[]>> {
  await page.evaluate(() => {
    const shown = document.querySelector("[data-text=place]");
    const sights: Sight[] = [];
    Object.assign(globalThis, { sights });
    const note = (): void => { sights.push({ atMs: performance.now(), place: shown?.textContent ?? "" }); };
    new MutationObserver(note).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
  });
  return () => page.evaluate(() => (globalThis as unknown as { sights: Sight[] }).sights);
}

/** Makes the page believe that its tab is hidden or visible. */
async function setVisibility(page: Page, state: "visible" | "hidden"): Promise<void> {
  await page.evaluate((state) => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
}

const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const numbers = (sights: Sight[]): number[] => sights.map((sight) => Number(sight.place.replaceAll(",", "")));

test("the place counts down by itself, once a second, and grows only with people who came back", LIMIT, async () => {
  const { visitor, at, line } = await wait(place({ place: 417, rate_per_s: 4 }));
  const sights = await watch(at.page);
  await until("the place to have counted down", async () => ((await sights()).length >= 4 ? true : undefined));
  const counted = numbers(await sights());
  assert.ok(counted.every((now, index) => now < (counted[index - 1] ?? 418)), counted.join());
  const times = (await sights()).map(({ atMs }) => atMs);
  assert.ok((times.at(-1) ?? 0) - (times[0] ?? 0) > 0.9 * SECOND_MS * (times.length - 1), times.join());

  line.send(place({ place: 417 }));
  await rest(1.5 * SECOND_MS);
  const shown = numbers(await sights()).at(-1) ?? 0;
  assert.ok(shown < 417, "a place that was too low stays");
  line.send(place({ place: 420, recalled: 3, rate_per_s: 1 }));
  await at.page.getByText("3 people who missed their turn came back.").waitFor();
  assert.equal(numbers(await sights()).at(-1), shown + 3);
  await photograph(at.page, "waiting-came-back");
  await visitor.go();
});

test("nothing is painted where nothing changes, and nothing ticks while nobody looks", LIMIT, async () => {
  const { visitor, at, line } = await wait(place({ place: 417 }));
  await rest(SECOND_MS);
  const sights = await watch(at.page);
  await rest(3 * SECOND_MS);
  assert.deepEqual(await sights(), []);

  await setVisibility(at.page, "hidden");
  line.send(place({ place: 400, rate_per_s: 20 }));
  // It counts from the message on: a tenth of a millisecond later the 400th step has begun.
  await until("the place to be heard", async () => (/^(400|399) ahead/.test(await at.page.title()) ? true : undefined));
  const told = (await sights()).length;
  await rest(3 * SECOND_MS);
  assert.equal((await sights()).length, told);
  await setVisibility(at.page, "visible");
  assert.ok(Number(await at.page.locator("[data-text=place]").textContent()) <= 340, "it is right at once");
  await visitor.go();
});

test("long numbers, long waits and long news fit on small screens", LIMIT, async () => {
  const far = place({ ordinal: 12_345_678, place: 1_234_567, behind: 10_987_654, wait: { likely_s: [5_500, 9_000], bounds_s: [3_000, 30_000] } });
  for (const colorScheme of ["light", "dark"] as const) {
    const { visitor, at, line } = await wait(far, { colorScheme });
    line.tell({ message: "Every mug is glazed by hand, so no two are the same. Thank you for your patience." });
    await at.page.getByText("glazed by hand").waitFor();
    await at.page.getByText("90 % of shoppers wait between 50 minutes and 9 hours").waitFor();
    await photograph(at.page, `waiting-far-${colorScheme}`);
    line.send({ ...far, place: 1_235_001, recalled: 1_234, beyond_stock: true });
    await at.page.getByText("The sale may sell out before your turn.").waitFor();
    await at.page.getByText("You can stay").waitFor();
    await at.page.getByText("434 people who missed their turn came back.").waitFor();
    await photograph(at.page, `waiting-beyond-stock-${colorScheme}`);
    await visitor.go();
  }
});

test("a line that does not say much yet is heard all the same", LIMIT, async () => {
  const { type, ordinal, place: ahead, behind } = place({});
  const { visitor, at, line } = await wait({ type, ordinal, place: ahead, behind, wait: { likely_s: [20, 40] } } as LineMessage);
  await at.heading("417 people ahead of you").waitFor();
  await at.page.getByText("20 to 40 seconds", { exact: true }).waitFor();
  line.send({ type, ordinal, place: 3, behind } as LineMessage);
  await at.heading("3 people ahead of you").waitFor();
  await at.page.getByText("not available yet", { exact: true }).waitFor();
  await visitor.go();
});

test("whoever missed the turn is told, and may join again", LIMIT, async () => {
  const { visitor, at, line } = await wait({ type: "over", outcome: "missed" });
  await at.heading("You missed your turn").waitFor();
  await photograph(at.page, "missed");
  line.send(place({ ordinal: 1_500, place: 800 }));
  await at.button("Join again").focus();
  await at.page.keyboard.press("Enter");
  await at.heading("800 people ahead of you").waitFor();
  assert.match(line.visits.at(-1) ?? "", /[?&]rejoin=true(&|$)/);
  await visitor.go();
});

test("a screen reader hears of people who came back in its turn, and not of every step", LIMIT, async () => {
  const { visitor, at, line } = await wait(place({ place: 417, rate_per_s: 5 }), { reducedMotion: "reduce" });
  const announcer = at.page.locator("[data-announcer]");
  const first = (await announcer.textContent()) ?? "";
  assert.match(first, /^41\d people ahead of you\. Estimated wait: 2 to 4 minutes\.$/);
  line.send(place({ place: 430, recalled: 15 }));
  await at.page.locator("[data-show=back]").waitFor();
  await rest(2 * SECOND_MS);
  assert.equal(await announcer.textContent(), first, "it has just spoken");
  await announcer.filter({ hasText: /^\d+ people who missed their turn came back\./ }).waitFor({ timeout: 25 * SECOND_MS });
  assert.equal(await at.page.evaluate(() => document.getAnimations().length), 0, "nothing moves for those who ask for no motion");
  await visitor.go();
});

test("a shop that refuses WebSockets is asked once why, and left alone for as long as it says", LIMIT, async () => {
  const door = await Door.open(shop.url);
  const visitor = await Visitor.come(browser);
  const at = new ShopperPage(await visitor.openTab(`${door.url}/sales/${sale.slug}`));
  await at.join();
  const ticket = await at.ticket();
  door.busyForS = 4;
  door.slam();
  await at.trouble.filter({ hasText: "very busy" }).waitFor();
  assert.deepEqual(door.turnedAway.map(({ upgrade }) => upgrade), [true, false]);
  const askedAtMs = door.turnedAway.at(-1)?.atMs ?? 0;
  await setVisibility(at.page, "hidden");
  await setVisibility(at.page, "visible");
  await until("the page to come again", () => (door.turnedAway.length > 2 ? true : undefined));
  assert.ok((door.turnedAway[2]?.atMs ?? 0) - askedAtMs >= 4 * SECOND_MS, "a look at the page does not hurry it");
  door.busyForS = undefined;
  await at.trouble.waitFor({ state: "hidden", timeout: 60 * SECOND_MS });
  assert.equal(await at.ticket(), ticket);
  await visitor.go(/Unexpected response code: 503/, /status of 503/, /ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/);
  await door.close();
});
