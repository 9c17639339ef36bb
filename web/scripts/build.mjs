// Builds web/dist: scripts and styles with a hash of their content in their names, each also
// compressed, and manifest.json, which maps names to hashed names. Unchanged files are not written
// again, so that the services that embed them are not rebuilt.

import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, extname } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const SRC = fileURLToPath(new URL("../src/", import.meta.url));
const DIST = fileURLToPath(new URL("../dist/", import.meta.url));

const ENTRIES = [
  { in: `${SRC}shopper/main.ts`, out: "shopper" },
  { in: `${SRC}shopper/attention.ts`, out: "attention" },
  { in: `${SRC}shopper/sign-in.ts`, out: "sign-in" },
  { in: `${SRC}shopper/shopper.css`, out: "shopper" },
  { in: `${SRC}admin/main.ts`, out: "admin" },
  { in: `${SRC}admin/admin.css`, out: "admin" },
];

const built = new Set();

async function write(name, bytes) {
  built.add(name);
  const before = await readFile(DIST + name).catch(() => undefined);
  if (!before?.equals(bytes)) await writeFile(DIST + name, bytes);
}

/** Writes a file and its compressed copies. */
async function publish(name, content) {
  const bytes = Buffer.from(content);
  const brotli = brotliCompressSync(bytes);
  const gzip = gzipSync(bytes, { level: 9 });
  await Promise.all([write(name, bytes), write(`${name}.br`, brotli), write(`${name}.gz`, gzip)]);
  console.log(`${name.padEnd(28)} ${bytes.length} B, gzip ${gzip.length} B, brotli ${brotli.length} B`);
}

function hashedName(name, content) {
  const extension = extname(name);
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 12);
  return `${basename(name, extension)}.${hash}${extension}`;
}

const { outputFiles } = await build({
  entryPoints: ENTRIES,
  outdir: DIST,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022", "chrome109", "firefox115", "safari16"],
  write: false,
  logLevel: "warning",
});

await mkdir(DIST, { recursive: true });

const assets = outputFiles.map(({ path, text }) => [basename(path), text]);
assets.push(["icon.svg", await readFile(`${SRC}shared/icon.svg`, "utf8")]);

const manifest = {};
for (const [name, content] of assets) {
  manifest[name] = hashedName(name, content);
  await publish(manifest[name], content);
}

/** A template with its includes. A line `{include screens/sale.html}` includes that file. */
async function readTemplate(path) {
  const pieces = (await readFile(`${SRC}admin/${path}`, "utf8")).split(/^\{include ([a-z/-]+\.html)\}\n/m);
  return (await Promise.all(pieces.map((piece, index) => (index % 2 === 0 ? piece : readTemplate(piece))))).join("");
}

const adminPage = await readTemplate("admin.html");
await publish("admin.html", adminPage.replace(/\{([a-z]+\.[a-z]+)\}/g, (_, name) => `/admin/assets/${manifest[name]}`));
await write("manifest.json", Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`));

const stale = (await readdir(DIST)).filter((name) => !name.startsWith(".") && !built.has(name));
await Promise.all(stale.map((name) => rm(DIST + name)));
