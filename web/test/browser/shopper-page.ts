/** The shopper page, as a shopper uses it. */

import type { Locator, Page } from "playwright-core";

export class ShopperPage {
  readonly page: Page;
  readonly ahead: Locator;
  readonly ordinal: Locator;
  readonly trouble: Locator;

  constructor(page: Page) {
    this.page = page;
    this.ahead = page.locator("[data-phase=waiting] h2");
    this.ordinal = page.locator("[data-phase=waiting] [data-text=ordinal]");
    this.trouble = page.locator("[data-show=trouble]");
  }

  async join(): Promise<void> {
    await this.button("Join the line").click();
    await this.heading(/ahead of you|front of the line/).waitFor();
  }

  /** Waits for the ticket number and returns it. */
  async ticket(): Promise<string> {
    await this.ordinal.waitFor();
    return (await this.ordinal.textContent()) ?? "";
  }

  async checkOut(): Promise<void> {
    await this.button("Go to checkout").click();
    await this.heading("Checkout").waitFor();
  }

  async pay(card = "Approved"): Promise<void> {
    await this.page.getByRole("radio", { name: card }).check();
    await this.button(/^Pay /).click();
  }

  /** Holds back the page's requests for its order until the returned function is called. */
  async holdOrderUpdates(): Promise<() => void> {
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => { release = resolve; });
    await this.page.route(/\/api\/orders\/[^/]+$/, async (route) => {
      await released;
      await route.fallback();
    });
    return release;
  }

  button(name: string | RegExp): Locator {
    return this.page.getByRole("button", { name });
  }

  heading(name: string | RegExp): Locator {
    return this.page.getByRole("heading", { name });
  }
}
