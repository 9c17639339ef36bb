import assert from "node:assert/strict";
import { test } from "node:test";
import { changes, spaced } from "../../src/admin/screens/audit";

test("an entry lists its changes field by field", () => {
  assert.deepEqual(changes({ before: { rate_cap_per_s: 10, message: null }, after: { rate_cap_per_s: 2.5, message: "Soon" } }), [
    "rate cap per s: 10 → 2.5",
    "message: none → “Soon”",
  ]);
  assert.deepEqual(changes({ before: null, after: { ticket: 7 } }), ["ticket: 7"]);
  assert.deepEqual(changes({ before: { name: "ada" }, after: null }), ["name: “ada” → none"]);
  assert.deepEqual(changes({ before: null, after: null }), []);
  assert.equal(spaced("remove_ticket"), "remove ticket");
});
