// Lints the language of texts and comments (STYLE.md, section 1): `node scripts/lint/prose.mjs`.
//
// Counts, for each group of files, the words that STYLE.md avoids, the comment lines that are wider
// than 100 columns, and the comments in code, SQL and templates that are longer than three lines.
// Each has a budget in prose.json, which a count must not exceed. `--write` lowers
// budgets to the current counts; `--list GROUP` prints what a group's counts consist of.
//
// - Test names count, too: an underscore separates words. A phrase may span two lines of a comment.
// - Doc comments may be longer, for units and errors, and so may the header of a module.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BUDGETS = new URL("prose.json", import.meta.url);
const IGNORED = new Set([".git", ".fairline", "node_modules", "target", "dist", ".test", "shots"]);
/** These list the words, generated texts repeat those of their source, and words.txt holds no sentences. */
const EXEMPT = /^(STYLE\.md|scripts\/lint\/|docs\/openapi\/|web\/src\/shared\/openapi\/|docs\/(?:problems|commands)\.md|cli\/tests\/schema\.sql)|package-lock\.json$/;
const WIDTH_MAX = 100;
const HEIGHT_MAX = 3;
/** The mark of a comment that is no doc comment, by file extension. */
const COMMENT_MARKS = {
  ".rs": /^\s*\/\/(?![/!])/, ".ts": /^\s*\/\//, ".js": /^\s*\/\//, ".mjs": /^\s*\/\//, ".lua": /^\s*--/, ".sql": /^\s*--/,
  // Of a template only the comments remain: see `templateComments`.
  ".html": /\S/,
};

const PHRASES = [
  "whoever", "whomever", "somebody", "nobody", "everybody who", "told", "tell", "tells", "telling", "(?<![.:])is none", "so many", "of ours",
  "of one['’]s own", "what became of", "once it is known", "lets in nobody",
  "hears?", "heard", "hearing", "doorman", "turnstile", "hall", "bells?", "parked", "carrier", "wording", "beats", "fares?", "fared",
  "guarded", "left alone", "askers?", "shop keys?", "manners", "nudge[ds]?", "interventions?", "as they may", "may not ask", "fallen in",
  "was not right", "times of ten", "name in addresses", "are let in", "your money comes back",
  "(?:do|does|did|can|could) not answer(?! this)", "no answer", "by itself", "by themselves", "for good",
];
/** Between two words of a phrase: spaces, an underscore, or a line's end with the mark of the next comment line. */
const GAP = "(?:[ _]+|\\s*\\n\\s*(?://[/!]?|\\*|#|--)?\\s*)";
const WORDS = new RegExp(`(?<![a-z])(?:${PHRASES.map((phrase) => phrase.replaceAll(" ", GAP)).join("|")})(?![a-z])`, "gi");

const CODE = [".rs", ".ts", ".json", ".conf", ".mjs", ".js", ".py", ".sh", ".lua", ".sql", ".toml", ".yaml", ".yml", ".css", ".tpl"];
/** The first group that takes a file counts it. */
const GROUPS = {
  docs: (path) => extname(path) === ".md",
  pages: (path) => extname(path) === ".html",
  notifications: (path) => path.startsWith("checkout/templates/"),
  web: (path) => path.startsWith("web/src/"),
  tests: (path) => /(^|\/)tests?\//.test(path) && CODE.includes(extname(path)),
  code: (path) => CODE.includes(extname(path)) || path === "Makefile",
};

async function* files(folder = "") {
  for (const entry of await readdir(ROOT + folder, { withFileTypes: true })) {
    const path = folder + entry.name;
    if (entry.isDirectory()) {
      if (!IGNORED.has(entry.name)) yield* files(`${path}/`);
    } else if (entry.isFile() && !EXEMPT.test(path)) yield path;
  }
}

/** The comments of a template, at their places. */
function templateComments(text) {
  return text.replaceAll(/(<!--[^]*?-->|\{#[^]*?#\})|[^\n]/g, (_, comment) => comment ?? " ").replaceAll(/ +$/gm, "");
}

function isComment(line) {
  return /^\s*(\/\/|\/?\*[ *]|#(?! error: )[^[!]|-- )/.test(line);
}

/** The comments in `lines` that are too long: of each its first line, from 1, and their number. */
function longComments(path, lines, written) {
  const mark = COMMENT_MARKS[extname(path)];
  if (mark === undefined) return [];
  const comments = [];
  let from = 0;
  let isHeader = true;
  for (const [at, line] of [...lines, ""].entries()) {
    if (mark.test(line)) continue;
    if (at - from > HEIGHT_MAX && !isHeader) comments.push({ line: from + 1, length: at - from });
    // A header follows nothing but a shebang and empty lines.
    isHeader &&= at === from && /^(?:#!|$)/.test(written[at] ?? "");
    from = at + 1;
  }
  return comments;
}

const counts = Object.fromEntries(Object.keys(GROUPS).map((group) => [group, { words: 0, wide_comments: 0, long_comments: 0 }]));
const found = Object.fromEntries(Object.keys(GROUPS).map((group) => [group, []]));
for await (const path of files()) {
  const group = Object.keys(GROUPS).find((name) => GROUPS[name](path));
  if (group === undefined) continue;
  const written = await readFile(ROOT + path, "utf8");
  // In a manual, a name in a code span is a quotation: it counts where it is defined.
  const text = group === "docs" ? written.replaceAll(/```[^]*?```|`[^`\n]*`/g, (code) => code.replaceAll(/[^\n]/g, " ")) : written;
  for (const { 0: words, index } of text.matchAll(WORDS)) {
    counts[group].words += 1;
    found[group].push(`${path}:${text.slice(0, index).split("\n").length}: ${words.replaceAll(/\s+/g, " ")}`);
  }
  if (group === "docs") continue;
  const isTemplate = group === "pages";
  const lines = (isTemplate ? templateComments(text) : text).split("\n");
  for (const [at, line] of lines.entries()) {
    if (line.length <= WIDTH_MAX || !(isTemplate || isComment(line))) continue;
    counts[group].wide_comments += 1;
    found[group].push(`${path}:${at + 1}: ${line.length} columns`);
  }
  for (const { line, length } of longComments(path, lines, text.split("\n"))) {
    counts[group].long_comments += 1;
    found[group].push(`${path}:${line}: ${length} lines of comment`);
  }
}

const listed = process.argv[2] === "--list" ? process.argv[3] : undefined;
if (listed !== undefined) console.log((found[listed] ?? []).join("\n"));
if (process.argv[2] === "--write") await writeFile(BUDGETS, `${JSON.stringify(counts, null, 2)}\n`);

const budgets = JSON.parse(await readFile(BUDGETS, "utf8"));
for (const [group, kinds] of Object.entries(counts)) {
  for (const [kind, count] of Object.entries(kinds)) {
    const budget = budgets[group]?.[kind] ?? 0;
    if (count > budget) {
      console.error(`✗ ${group}: ${count} ${kind}, ${budget} allowed: see STYLE.md. \`node scripts/lint/prose.mjs --list ${group}\` shows where.`);
      process.exitCode = 1;
    } else if (count < budget) console.log(`${group}: ${count} ${kind}, ${budget} allowed: \`node scripts/lint/prose.mjs --write\` lowers the budget.`);
  }
}
