import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["src/shared/openapi/", "dist/", ".test/", "node_modules/", "test/shots/"] },
  {
    files: ["src/**/*.ts", "test/**/*.ts", "scripts/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML"].map((property) => ({
          property,
          message: "Text goes in through textContent: a sale's name or message is never markup.",
        })),
      ],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/switch-exhaustiveness-check": "error",
    },
  },
  {
    // A function fits a screen: see STYLE.md.
    files: ["src/**/*.ts"],
    rules: { "max-lines-per-function": ["error", { max: 60, skipBlankLines: true, skipComments: true }] },
  },
  {
    files: ["test/**/*.ts"],
    rules: {
      // `test(…)` of node:test returns a promise that the runner itself awaits.
      "@typescript-eslint/no-floating-promises": ["error", { allowForKnownSafeCalls: [{ from: "package", name: ["test", "describe", "it"], package: "node:test" }] }],
    },
  },
  { files: ["scripts/*.mjs", "eslint.config.js"], rules: { eqeqeq: "error", "no-unused-vars": "error" } },
);
