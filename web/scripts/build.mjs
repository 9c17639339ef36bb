// Builds web/dist: the scripts and styles under names that change with their content, each also compressed ahead of
// time, and manifest.json, from which the services learn the names.

import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, extname } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const SRC = fileURLToPath(new URL("../src/", import.meta.url));
const DIST = fileURLToPath(new URL("../dist/", import.meta.url));

const ENTRIES = [
  { in: `${SRC}shopper/main.ts`, out: "shopper" },
  { in: `${SRC}shopper/shopper.css`, out: "shopper" },
  { in: `${SRC}admin/main.ts`, out: "admin" },
  { in: `${SRC}admin/admin.css`, out: "admin" },
];

/** Writes a file beside its compressed twins. */
async function write(name, content) {
  const bytes = Buffer.from(content);
  const brotli = brotliCompressSync(bytes);
  const gzip = gzipSync(bytes, { level: 9 });
  await Promise.all([writeFile(DIST + name, bytes), writeFile(`${DIST}${name}.br`, brotli), writeFile(`${DIST}${name}.gz`, gzip)]);
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

await rm(DIST, { recursive: true, force: true });
await mkdir(DIST, { recursive: true });

const assets = outputFiles.map(({ path, text }) => [basename(path), text]);
assets.push(["icon.svg", await readFile(`${SRC}icon.svg`, "utf8")]);

const manifest = {};
for (const [name, content] of assets) {
  manifest[name] = hashedName(name, content);
  await write(manifest[name], content);
}

const adminPage = await readFile(`${SRC}admin/admin.html`, "utf8");
await write("admin.html", adminPage.replace(/\{(\S+?)\}/g, (_, name) => `/admin/assets/${manifest[name]}`));
await writeFile(`${DIST}manifest.json`, `${JSON.stringify(manifest, null, 2)}\n`);
