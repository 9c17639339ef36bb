/** The shopper's page, as a person uses it. */

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

  /** The number of the ticket, once the page shows it. */
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

  button(name: string | RegExp): Locator {
    return this.page.getByRole("button", { name });
  }

  heading(name: string | RegExp): Locator {
    return this.page.getByRole("heading", { name });
  }
}
