/** Chromium, visitors who record the errors of their pages, and screenshots with checks. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import type axe from "axe-core";
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from "playwright-core";
import { until } from "./until";

export const PHONE = { width: 390, height: 844 };
export const DESKTOP = { width: 1280, height: 800 };
const NARROWEST = { width: 320, height: 640 };

const SHOTS = join(process.cwd(), "test/shots");
const TIMEOUT_MS = 20_000;

export const OPTIONS = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-quic"],
};

export async function openBrowser(): Promise<Browser> {
  await mkdir(SHOTS, { recursive: true });
  return chromium.launch(OPTIONS);
}

/** One person's browser, with its own cookies and any number of tabs. */
export class Visitor {
  readonly context: BrowserContext;
  readonly #errors: string[] = [];

  private constructor(context: BrowserContext) {
    this.context = context;
    context.setDefaultTimeout(TIMEOUT_MS);
    context.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") this.#errors.push(message.text());
    });
    context.on("weberror", (error) => this.#errors.push(String(error.error())));
  }

  static async open(browser: Browser, options: BrowserContextOptions = {}): Promise<Visitor> {
    return new Visitor(await browser.newContext({ viewport: DESKTOP, ...options }));
  }

  async openTab(url: string): Promise<Page> {
    const page = await this.context.newPage();
    await page.goto(url);
    return page;
  }

  /** Closes the browser. Fails if a page logged an error that no pattern in `expected` matches. */
  async close(...expected: RegExp[]): Promise<void> {
    await this.context.close();
    assert.deepEqual(this.#errors.filter((error) => !expected.some((pattern) => pattern.test(error))), []);
  }
}

/** Sets whether the page considers its tab hidden. */
export async function setVisibility(page: Page, state: "visible" | "hidden"): Promise<void> {
  await page.evaluate((state) => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
}

const AXE = readFileSync(createRequire(join(process.cwd(), "package.json")).resolve("axe-core/axe.min.js"), "utf8");

/** The serious problems that axe finds on a page. Starts again if the page navigates meanwhile. */
async function accessibilityProblems(page: Page, tries = 5): Promise<string[]> {
  try {
    return await runAxe(page);
  } catch (error) {
    if (tries === 0 || !/navigation|context was destroyed/i.test(String(error))) throw error;
    await page.waitForLoadState();
    return accessibilityProblems(page, tries - 1);
  }
}

async function runAxe(page: Page): Promise<string[]> {
  // The pages' security policy allows no other scripts, but does not apply to the debugger.
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
 * Saves screenshots of a page on a phone and on a desktop, in light and dark colours. Fails if axe
 * finds a serious problem in one of them, or if the page is wider than a narrow screen.
 */
export async function photograph(page: Page, name: string): Promise<void> {
  const before = page.viewportSize() ?? DESKTOP;
  const dark = await page.evaluate(() => matchMedia("(prefers-color-scheme: dark)").matches);
  for (const [device, viewport] of Object.entries({ phone: PHONE, desktop: DESKTOP })) {
    await page.setViewportSize(viewport);
    for (const colorScheme of [dark ? "light" : "dark", dark ? "dark" : "light"] as const) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: join(SHOTS, `${name}-${device}-${colorScheme}.png`), fullPage: true });
      assert.deepEqual(await accessibilityProblems(page), [], `${name}, ${device}, ${colorScheme}`);
    }
  }
  await page.setViewportSize(NARROWEST);
  // Fonts differ between machines; a monospace font is wider than those of the pages.
  for (const font of ["", "monospace"]) {
    await page.evaluate((font) => { document.body.style.fontFamily = font; }, font);
    // Charts take a moment to redraw.
    await until(`${name} to fit ${NARROWEST.width} px${font && ` in ${font}`}`, async () => (await isNarrow(page)) || undefined);
  }
  await page.evaluate(() => { document.body.style.fontFamily = ""; });
  await page.setViewportSize(before);
}

function isNarrow(page: Page): Promise<boolean> {
  return page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);
}
