/** The console, as an operator uses it. */

import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import { Visitor } from "./browser";
import type { Demo } from "./demo";
import { totp } from "./totp";

export const PASSWORD = "correct horse battery";
/** A browser logs every response of 401, 403, 409 or 422, including expected ones. */
export const REFUSED = /status of (401|403|409|422)/;
/** A browser logs sockets that close during the handshake, as when a screen is left. */
export const CUT_OFF = /WebSocket/;

export class ConsolePage {
  readonly visitor: Visitor;
  readonly page: Page;

  private constructor(visitor: Visitor, page: Page) {
    this.visitor = visitor;
    this.page = page;
  }

  /** Adds an operator and signs in as that operator. */
  static async open(browser: Browser, demo: Demo, name: string, role: string, options: BrowserContextOptions = {}): Promise<ConsolePage> {
    const secret = await demo.addOperator(name, role, PASSWORD);
    const visitor = await Visitor.open(browser, options);
    const page = await visitor.openTab(demo.adminUrl);
    const at = new ConsolePage(visitor, page);
    await at.signIn(name, totp(secret));
    return at;
  }

  async signIn(name: string, code: string): Promise<void> {
    const form = this.page.locator("form[data-sign-in]");
    await form.getByLabel("Name").fill(name);
    await form.getByLabel("Password").fill(PASSWORD);
    await form.getByLabel("Code").fill(code);
    await form.getByRole("button", { name: "Sign in" }).click();
    await this.page.getByRole("heading", { name: "Sales" }).waitFor();
  }

  async goTo(hash: string): Promise<void> {
    await this.page.evaluate((to) => { location.hash = to; }, hash);
  }

  button(name: string | RegExp): Locator {
    return this.page.getByRole("button", { name, ...(typeof name === "string" && { exact: true }) });
  }

  heading(name: string): Locator {
    return this.page.getByRole("heading", { name });
  }

  /** The badge of the sale on screen, if it shows this status. */
  status(text: string): Locator {
    return this.page.locator(".sale .badge").filter({ hasText: new RegExp(`^${text}$`) });
  }

  /** Changes one setting of the sale on screen. */
  async set(label: string, value: string): Promise<void> {
    const input = this.page.getByLabel(label, { exact: true });
    await input.fill(value);
    await input.press("Enter");
  }

  /** The value of a counter. */
  counter(name: string): Locator {
    return this.page.locator(".sale .counters div").filter({ has: this.page.getByText(name, { exact: true }) }).locator("dd");
  }

  async number(name: string): Promise<number> {
    return Number((await this.counter(name).textContent())?.replaceAll(",", ""));
  }

  /** Answers the confirmation dialog. */
  async answer(button: string, reason?: string): Promise<void> {
    const dialog = this.page.locator("#confirm");
    if (reason !== undefined) await dialog.getByLabel("Reason").fill(reason);
    await dialog.getByRole("button", { name: button, exact: true }).click();
  }
}
