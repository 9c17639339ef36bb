// Checks the documents: relative links and their anchors lead somewhere, and source files named in
// code spans exist: `node scripts/lint/links.mjs`.

import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const IGNORED = new Set([".git", ".fairline", "node_modules", "target", "dist"]);
/** A code span that names a source file, or several: `crates/a/src/{b,c}.rs`. */
const SOURCE = /`([\w./{},-]+\.(?:rs|ts|lua|mjs|py))`/g;

async function* paths(folder = "") {
  for (const entry of await readdir(ROOT + folder, { withFileTypes: true })) {
    if (entry.isDirectory() && !IGNORED.has(entry.name)) yield* paths(`${folder}${entry.name}/`);
    else if (entry.isFile()) yield folder + entry.name;
  }
}

/** The anchors that GitHub gives to a document's headings, and those that it sets itself. */
function anchors(text) {
  const headings = [...text.replaceAll(/```[^]*?```/g, "").matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading.replaceAll(/\]\([^)]*\)/g, "").toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-"),
  );
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id)]);
}

/** `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`. */
function expanded(path) {
  const [, before, names, after] = /^(.*)\{(.*)\}(.*)$/.exec(path) ?? [];
  return names === undefined ? [path] : names.split(",").map((name) => before + name + after);
}

const files = [];
for await (const path of paths()) files.push(path);
const documents = files.filter((path) => path.endsWith(".md"));
const texts = new Map(await Promise.all(documents.map(async (path) => [path, await readFile(ROOT + path, "utf8")])));

const problems = [];
for (const [path, text] of texts) {
  const prose = text.replaceAll(/```[^]*?```/g, "");
  for (const [, target] of prose.replaceAll(/`[^`\n]*`/g, "").matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [file, anchor] = target.split("#");
    const found = file === "" ? path : normalize(join(dirname(path), file)).replace(/\/$/, "");
    if (!existsSync(ROOT + found)) problems.push(`${path}: ${target} leads nowhere`);
    else if (anchor !== undefined && texts.has(found) && !anchors(texts.get(found)).has(anchor)) problems.push(`${path}: ${target} has no such heading`);
  }
  // The changelog names files as they were, and a plan files to come.
  if (path === "CHANGELOG.md" || text.includes("**Status: planned.**")) continue;
  for (const name of [...prose.matchAll(SOURCE)].flatMap(([, name]) => expanded(name))) {
    if (!files.some((file) => file === name || file.endsWith(`/${name}`))) problems.push(`${path}: there is no ${name}`);
  }
}
for (const problem of problems) console.error(`✗ ${problem}`);
process.exitCode = problems.length > 0 ? 1 : 0;
