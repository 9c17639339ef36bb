/** The catalogue on the console: the editor of products, and the import. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { photograph } from "./browser";
import { ConsolePage, CUT_OFF, REFUSED } from "./console-page";
import { browser, demo, LIMIT } from "./setup";
import { until } from "./until";

/** A PNG of one pixel. */
const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAAC0lEQVR42mNgAAIAAAUAAen63NgAAAAASUVORK5CYII=", "base64");

test("a product is created with variants and an image, changed, archived and deleted", LIMIT, async () => {
  const at = await ConsolePage.open(browser, demo, "pia", "operator");
  const { page } = at;
  await page.getByRole("link", { name: "Products", exact: true }).click();
  await page.getByText("No products yet.").waitFor();
  await page.getByRole("link", { name: "Create product" }).click();
  await at.heading("New product").waitFor();
  await page.locator("#screen").getByLabel("Name", { exact: true }).fill("Running shoe");
  const attributes = page.getByLabel("Attributes, one per line, such as Material: leather");
  await attributes.fill("leather");
  await at.button("Save").click();
  assert.match(await attributes.evaluate((input: HTMLTextAreaElement) => input.validationMessage), /lacks a name or a value: leather/);
  await attributes.fill("Material: leather");

  // With the keyboard alone: a new row begins in its first field, with the price of the last one.
  await at.button("Add variant").press("Enter");
  await page.keyboard.type("SHOE-42");
  await page.getByLabel("Title of variant 1").fill("EU 42");
  await page.getByLabel("List price of variant 1").fill("129.00");
  await page.getByLabel("Attributes of variant 1").fill("Size: 42");
  await at.button("Add variant").press("Enter");
  await page.keyboard.type("SHOE-43");
  assert.equal(await page.getByLabel("List price of variant 2").inputValue(), "129.00");
  await at.button("Move up of variant 2").press("Enter");
  await page.getByText("Moved to place 1 of 2.").waitFor();
  assert.equal(await page.getByLabel("SKU of variant 1").inputValue(), "SHOE-43");
  // The button to move up is disabled at the first place, so the other one has the focus.
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "Move down of variant 1");

  await page.getByLabel("Add images").setInputFiles([{ name: "pixel.png", mimeType: "image/png", buffer: PNG }]);
  await page.getByLabel("Alternative text of image 1").fill("A white shoe");
  await page.getByLabel("Add images").setInputFiles([{ name: "text.png", mimeType: "image/png", buffer: Buffer.from("no image") }]);
  await page.locator("#trouble").filter({ hasText: "The image was rejected" }).waitFor();
  await photograph(page, "console-product");
  await at.button("Save").click();
  await at.heading("Running shoe").waitFor();
  await page.getByLabel("SKU of variant 2").waitFor();
  assert.equal(await page.getByLabel("Alternative text of image 1").inputValue(), "A white shoe");
  const image = page.locator(".images img");
  await until("the image to be shown", async () => (await image.evaluate((shown: HTMLImageElement) => shown.naturalWidth)) || undefined);

  // Another operator changes it meanwhile: nothing is overwritten.
  const elsewhere = await at.visitor.openTab(page.url());
  await elsewhere.getByRole("heading", { name: "Running shoe" }).waitFor();
  await elsewhere.locator("#screen").getByLabel("Name", { exact: true }).fill("Trail shoe");
  await elsewhere.getByRole("button", { name: "Save", exact: true }).click();
  await elsewhere.getByText("Product saved.").waitFor();
  await page.locator("#screen").getByLabel("Name", { exact: true }).fill("Road shoe");
  await at.button("Save").click();
  await page.locator("#trouble").filter({ hasText: "The product was changed meanwhile" }).waitFor();
  await page.reload();
  await at.heading("Trail shoe").waitFor();

  await at.button("Remove of variant 1").click();
  await at.button("Save").click();
  await page.getByText("Product saved.").waitFor();
  assert.equal(await page.getByLabel("SKU of variant 1").inputValue(), "SHOE-42");
  await at.button("Archive").click();
  await page.getByText("Product archived.").waitFor();
  await page.getByRole("link", { name: "All products" }).click();
  await page.getByText("No products yet.").waitFor();
  await page.getByLabel("Show").selectOption("Archived products");
  await page.getByRole("link", { name: "Trail shoe" }).waitFor();
  await photograph(page, "console-products");
  await page.getByRole("link", { name: "Trail shoe" }).click();
  await at.button("Delete").click();
  await at.answer("Delete product");
  await at.heading("Products").waitFor();
  await at.visitor.close(REFUSED, CUT_OFF);
});

test("a CSV file is checked, corrected and imported; viewers only read", LIMIT, async () => {
  const at = await ConsolePage.open(browser, demo, "paul", "operator");
  const { page } = at;
  await at.goTo("#/products/import");
  await at.heading("Import products").waitFor();
  const choose = async (table: string): Promise<void> => {
    await page.getByLabel("CSV file").setInputFiles([{ name: "products.csv", mimeType: "text/csv", buffer: Buffer.from(table) }]);
    await at.button("Check file").click();
  };
  await choose("sku,product,price,currency\nT-S,Shirt,19.00,EUR\nT-M,Shirt,19.999,EUR\n");
  await at.heading("1 error: nothing was imported").waitFor();
  const row = page.getByRole("row").filter({ has: page.getByRole("rowheader", { name: "3" }) });
  await row.filter({ hasText: "price" }).filter({ hasText: "It is not an amount in EUR" }).waitFor();
  assert.equal(await at.button("Import").isVisible(), false);
  await photograph(page, "console-import-errors");

  await choose("sku,product,price,currency\nT-S,Shirt,19.00,EUR\nT-M,Shirt,19.90,EUR\n");
  await at.heading("The file is valid").waitFor();
  await page.getByText("2 rows: 1 product and 2 variants created, 0 products and 0 variants changed.").waitFor();
  await at.button("Import").click();
  await at.heading("Products imported").waitFor();
  await page.getByRole("link", { name: "All products" }).click();
  await page.getByLabel("Name or SKU").fill("t-m");
  await at.button("Search").click();
  await page.getByText("1 found.").waitFor();
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "Export CSV" }).click();
  assert.match(await readFile(await (await download).path(), "utf8"), /,T-S,,,19\.00,EUR,\r\n/);
  await at.visitor.close(REFUSED, CUT_OFF);

  const viewer = await ConsolePage.open(browser, demo, "vince", "viewer");
  await viewer.goTo("#/products");
  await viewer.page.getByRole("link", { name: "Shirt" }).click();
  await viewer.heading("Shirt").waitFor();
  assert.equal(await viewer.page.getByLabel("SKU of variant 1").isDisabled(), true);
  assert.equal(await viewer.button("Save").isVisible(), false);
  await viewer.goTo("#/products/import");
  await viewer.heading("Access denied").waitFor();
  await viewer.visitor.close(REFUSED, CUT_OFF);
});
