/** An operator at the console. */

import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { Visitor } from "./browser";
import type { Shop } from "./shop";
import { totp } from "./totp";

export const PASSWORD = "correct horse battery";

export class ConsolePage {
  readonly visitor: Visitor;
  readonly page: Page;

  private constructor(visitor: Visitor, page: Page) {
    this.visitor = visitor;
    this.page = page;
  }

  /** Somebody new, made with the admin token, who signs in. */
  static async enter(browser: Browser, shop: Shop, name: string, role: string, options: BrowserContextOptions = {}): Promise<ConsolePage> {
    const secret = await shop.hire(name, role, PASSWORD);
    const visitor = await Visitor.come(browser, options);
    const page = await visitor.openTab(shop.adminUrl);
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

  button(name: string | RegExp) {
    return this.page.getByRole("button", { name, ...(typeof name === "string" && { exact: true }) });
  }

  /** Sets one of the settings of the sale that is shown. */
  async set(label: string, value: string): Promise<void> {
    const input = this.page.getByLabel(label, { exact: true });
    await input.fill(value);
    await input.press("Enter");
  }

  /** What stands beside a counter's name. */
  counter(name: string) {
    return this.page.locator(".sale .counters div").filter({ has: this.page.getByText(name, { exact: true }) }).locator("dd");
  }

  /** The number of a counter. */
  async number(name: string): Promise<number> {
    return Number((await this.counter(name).textContent())?.replaceAll(",", ""));
  }

  /** Answers the question that has come up. */
  async answer(go: string, reason?: string): Promise<void> {
    const dialog = this.page.locator("#confirm");
    if (reason !== undefined) await dialog.getByLabel("Reason").fill(reason);
    await dialog.getByRole("button", { name: go, exact: true }).click();
  }
}
