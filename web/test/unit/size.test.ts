import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const DIST = new URL("../../../dist/", import.meta.url);
const TEMPLATES = new URL("../../../../waiting-room/templates/", import.meta.url);
const MOST_BYTES = 15_000;

/** What of a template reaches the browser, with every branch of it: more than any one shopper is sent. */
async function template(name: string): Promise<string> {
  return (await readFile(new URL(name, TEMPLATES), "utf8")).replace(/\{#[\s\S]*?#\}|\{%[\s\S]*?%\}/g, "");
}

test("the shopper's page is at most 15 kB, compressed with gzip: HTML, CSS and JavaScript together", async () => {
  const manifest = JSON.parse(await readFile(new URL("manifest.json", DIST), "utf8")) as Record<string, string>;
  const asset = (name: string): Promise<Buffer> => readFile(new URL(manifest[name] ?? name, DIST));
  const parts = [(await template("base.html")) + (await template("sale.html")), await asset("shopper.css"), await asset("shopper.js")];
  const sizes = parts.map((part) => gzipSync(part).length);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(total <= MOST_BYTES, `${sizes.join(" + ")} = ${total} B`);
});
