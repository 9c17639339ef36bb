/** Chromium, and shoppers in it who notice everything that goes wrong on their pages. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import type axe from "axe-core";
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from "playwright-core";

export const PHONE = { width: 390, height: 844 };
export const DESKTOP = { width: 1280, height: 800 };
const NARROWEST = { width: 320, height: 640 };

const SHOTS = join(process.cwd(), "test/shots");
const PATIENCE_MS = 20_000;

export const OPTIONS = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-quic"],
};

export async function openBrowser(): Promise<Browser> {
  await mkdir(SHOTS, { recursive: true });
  return chromium.launch(OPTIONS);
}

/** One person's browser: cookies of its own, and as many tabs as wanted. */
export class Visitor {
  readonly context: BrowserContext;
  readonly #complaints: string[] = [];

  private constructor(context: BrowserContext) {
    this.context = context;
    context.setDefaultTimeout(PATIENCE_MS);
    context.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") this.#complaints.push(message.text());
    });
    context.on("weberror", (error) => this.#complaints.push(String(error.error())));
  }

  static async come(browser: Browser, options: BrowserContextOptions = {}): Promise<Visitor> {
    return new Visitor(await browser.newContext({ viewport: DESKTOP, ...options }));
  }

  async openTab(url: string): Promise<Page> {
    const page = await this.context.newPage();
    await page.goto(url);
    return page;
  }

  /** Ends the visit. The pages must have had nothing to complain about, but for what the test itself has brought about. */
  async go(...expected: RegExp[]): Promise<void> {
    await this.context.close();
    assert.deepEqual(this.#complaints.filter((complaint) => !expected.some((pattern) => pattern.test(complaint))), []);
  }
}

const AXE = readFileSync(createRequire(join(process.cwd(), "package.json")).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds on the page that keeps somebody from using it. A page that goes on by itself meanwhile is looked at again. */
async function barriers(page: Page, tries = 5): Promise<string[]> {
  try {
    return await look(page);
  } catch (error) {
    if (tries === 0 || !/navigation|context was destroyed/i.test(String(error))) throw error;
    await page.waitForLoadState();
    return barriers(page, tries - 1);
  }
}

async function look(page: Page): Promise<string[]> {
  // The pages run no script but their own; the tool's comes in by the debugger's door.
  const client = await page.context().newCDPSession(page);
  await client.send("Runtime.evaluate", { expression: AXE });
  await client.detach();
  return page.evaluate(async () => {
    const { violations } = await (window as unknown as { axe: typeof axe }).axe.run(document);
    const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    return serious.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary ?? ""}`));
  });
}

/**
 * Keeps a picture of the page on a phone and on a desktop, and makes sure that nothing sticks out on a narrow screen and
 * that nothing keeps anybody out, by day and by night.
 */
export async function photograph(page: Page, name: string): Promise<void> {
  const before = page.viewportSize() ?? DESKTOP;
  const dark = await page.evaluate(() => matchMedia("(prefers-color-scheme: dark)").matches);
  for (const [device, viewport] of Object.entries({ phone: PHONE, desktop: DESKTOP })) {
    await page.setViewportSize(viewport);
    for (const colorScheme of [dark ? "light" : "dark", dark ? "dark" : "light"] as const) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: join(SHOTS, `${name}-${device}-${colorScheme}.png`), fullPage: true });
      assert.deepEqual(await barriers(page), [], `${name}, ${device}, ${colorScheme}`);
    }
  }
  await page.setViewportSize(NARROWEST);
  // Other machines have other fonts; the second is wider than those that pages are read in.
  for (const font of ["", "monospace"]) {
    await page.evaluate((font) => { document.body.style.fontFamily = font; }, font);
    assert.ok(await fits(page), `${name} sticks out at ${NARROWEST.width} px${font && `, in ${font}`}`);
  }
  await page.evaluate(() => { document.body.style.fontFamily = ""; });
  await page.setViewportSize(before);
}

/** Whether nothing sticks out: at once, or within five seconds, as soon as charts have drawn themselves anew. */
async function fits(page: Page, tries = 50): Promise<boolean> {
  // Looked at from outside: a page without scripts has no timers.
  const isNarrow = await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);
  if (isNarrow || tries === 0) return isNarrow;
  await page.waitForTimeout(100);
  return fits(page, tries - 1);
}
