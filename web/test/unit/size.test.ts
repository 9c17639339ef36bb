import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const DIST = new URL("../../../dist/", import.meta.url);
const TEMPLATES = new URL("../../../../waiting-room/templates/", import.meta.url);
const SIZE_MAX_BYTES = 17_000;
/** With the panel to sign in, of a sale for accounts. */
const SIZE_WITH_ACCOUNTS_MAX_BYTES = 19_500;

/** What a browser gets of a template, with every branch of it: more than one shopper is sent. */
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

test("the shopper page is at most 17 kB, compressed with gzip: HTML, CSS and JavaScript together", async () => {
  const screens = (await readdir(new URL("sale/", TEMPLATES))).map((name) => `sale/${name}`);
  const withoutSignIn = screens.filter((name) => name !== "sale/sign-in.html");
  assert.equal(screens.length, withoutSignIn.length + 1, "the panel to sign in has a file of its own");
  const plain = await sizes(["base.html", "sale.html", ...withoutSignIn], ["shopper.css", "shopper.js"]);
  assert.ok(sum(plain) <= SIZE_MAX_BYTES, `${plain.join(" + ")} = ${sum(plain)} B`);
  const accounts = await sizes(["base.html", "sale.html", ...screens], ["shopper.css", "shopper.js", "sign-in.js"]);
  assert.ok(sum(accounts) <= SIZE_WITH_ACCOUNTS_MAX_BYTES, `${accounts.join(" + ")} = ${sum(accounts)} B`);
});
