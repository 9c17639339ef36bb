// Runs every *.test.ts under a folder on node's own test runner: `node scripts/test.mjs test/unit`.

import { spawn } from "node:child_process";
import { readdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const WEB = fileURLToPath(new URL("../", import.meta.url));
const folder = process.argv[2] ?? "test/unit";
const outdir = `${WEB}.test/${folder}`;

const tests = (await readdir(WEB + folder)).filter((name) => name.endsWith(".test.ts"));
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

const files = tests.map((name) => `${outdir}/${name.replace(/\.ts$/, ".mjs")}`);
const runner = spawn(process.execPath, ["--enable-source-maps", "--test", "--test-concurrency=1", "--test-reporter=spec", ...files], { cwd: WEB, stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => runner.kill(signal));
runner.on("exit", (code) => process.exit(code ?? 1));
