// Runs every *.test.ts of a folder with the test runner of node: `node scripts/test.mjs test/unit`.
// Two files run at a time, in processes of their own. The longest start first.

import { readdir, rm } from "node:fs/promises";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const WEB = fileURLToPath(new URL("../", import.meta.url));
const CONCURRENCY = 2;
/** The files that take longer than a minute, longest first. The others start in any order. */
const LONGEST = ["console-rehearsal", "without-javascript", "purchase", "environment", "waiting", "console-sale"];

const folder = process.argv[2] ?? "test/unit";
const outdir = `${WEB}.test/${folder}`;

function rank(name) {
  const index = LONGEST.indexOf(name.replace(".test.ts", ""));
  return index < 0 ? LONGEST.length : index;
}

const tests = (await readdir(WEB + folder)).filter((name) => name.endsWith(".test.ts")).sort((a, b) => rank(a) - rank(b));
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
