// Runs the *.test.ts files of a folder with the test runner of node: `node scripts/test.mjs
// test/browser`, or with `waiting` after it only the files with that in their name. Two files run
// at a time, in processes of their own. The longest start first.

import { readdir, rm } from "node:fs/promises";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const WEB = fileURLToPath(new URL("../", import.meta.url));
const CONCURRENCY = 2;
/** The files that take longer than half a minute, longest first. The others start in any order. */
const LONGEST = ["purchase", "console-rehearsal", "without-javascript", "environment", "waiting", "sale-page", "console-access", "console-sale"];

const [folder = "test/unit", part = ""] = process.argv.slice(2);
const outdir = `${WEB}.test/${folder}`;

function rank(name) {
  const index = LONGEST.indexOf(name.replace(".test.ts", ""));
  return index < 0 ? LONGEST.length : index;
}

const tests = (await readdir(WEB + folder)).filter((name) => name.endsWith(".test.ts") && name.includes(part)).sort((a, b) => rank(a) - rank(b));
await rm(outdir, { recursive: true, force: true });
await build({
  entryPoints: tests.map((name) => `${WEB}${folder}/${name}`),
  outdir,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  packages: "external",
  platform: "node",
  target: "node20",
  format: "esm",
  sourcemap: "inline",
  logLevel: "warning",
});

// Test files inherit both.
process.chdir(WEB);
process.env.NODE_OPTIONS = "--enable-source-maps";
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => { stop.abort(); });
run({ files: tests.map((name) => `${outdir}/${name.replace(/\.ts$/, ".mjs")}`), concurrency: CONCURRENCY, signal: stop.signal })
  .on("test:fail", () => { process.exitCode = 1; })
  .compose(spec)
  .pipe(process.stdout);
