import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const DIST = new URL("../../../dist/", import.meta.url);
const TEMPLATES = new URL("../../../../waiting-room/templates/", import.meta.url);
const MOST_BYTES = 17_000;
/** Where the sale asks for an account. */
const MOST_BYTES_WITH_ACCOUNTS = 19_500;

/** What of a template reaches the browser, with every branch of it: more than any one shopper is sent. */
async function template(name: string): Promise<string> {
  return (await readFile(new URL(name, TEMPLATES), "utf8")).replace(/\{#[\s\S]*?#\}|\{%[\s\S]*?%\}/g, "");
}

/** The sizes of these, compressed. */
async function sizes(templates: string[], assets: string[]): Promise<number[]> {
  const manifest = JSON.parse(await readFile(new URL("manifest.json", DIST), "utf8")) as Record<string, string>;
  const html = (await Promise.all(templates.map(template))).join("");
  const files = assets.map((name) => readFile(new URL(manifest[name] ?? name, DIST)));
  return [html, ...(await Promise.all(files))].map((part) => gzipSync(part).length);
}

const sum = (parts: number[]): number => parts.reduce((total, part) => total + part, 0);

test("the shopper's page is at most 17 kB, compressed with gzip: HTML, CSS and JavaScript together", async () => {
  const plain = await sizes(["base.html", "sale.html"], ["shopper.css", "shopper.js"]);
  assert.ok(sum(plain) <= MOST_BYTES, `${plain.join(" + ")} = ${sum(plain)} B`);
  const account = await sizes(["base.html", "sale.html", "account.html"], ["shopper.css", "shopper.js", "sign-in.js"]);
  assert.ok(sum(account) <= MOST_BYTES_WITH_ACCOUNTS, `${account.join(" + ")} = ${sum(account)} B`);
});
