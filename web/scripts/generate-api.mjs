// Generates src/shared/openapi/ from docs/openapi: `node scripts/generate-api.mjs`. With `--check`
// it fails if a file is stale. `make generate` renews the documents first.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";

const DOCUMENTS = new URL("../../docs/openapi/", import.meta.url);
const GENERATED = new URL("../src/shared/openapi/", import.meta.url);
const SERVICES = ["waiting-room", "admission-controller", "checkout"];

const check = process.argv[2] === "--check";
await mkdir(GENERATED, { recursive: true });
for (const service of SERVICES) {
  const types = astToString(await openapiTS(new URL(`${service}.json`, DOCUMENTS), { emptyObjectsUnknown: true }));
  const text = `/** Generated from docs/openapi/${service}.json by scripts/generate-api.mjs. */\n\n${types}`;
  const file = new URL(`${service}.ts`, GENERATED);
  if (!check) await writeFile(file, text);
  else if ((await readFile(file, "utf8").catch(() => "")) !== text) {
    console.error(`✗ web/src/shared/openapi/${service}.ts is stale: \`npm --prefix web run generate\` renews it`);
    process.exitCode = 1;
  }
}
