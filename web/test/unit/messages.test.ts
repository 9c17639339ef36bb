import assert from "node:assert/strict";
import { test } from "node:test";
import { EventStream } from "../../src/shopper/event-stream";
import { parseLineMessage } from "../../src/shopper/messages";

test("every message of the line is parsed", () => {
  for (const message of [
    { type: "place", ordinal: 42, place: 17, behind: 120, recalled: 3, rate_per_s: 2.5, wait: { likely_s: [20, 40], bounds_s: [10, 90] }, beyond_stock: true, remaining: 60 },
    { type: "place", ordinal: 42, place: 17, behind: 120, recalled: 0, rate_per_s: null, wait: null, beyond_stock: false, remaining: 0 },
    { type: "sale", sale: { id: "1" } },
    { type: "turn", token: "a.b.c", expires_at: "2026-11-27T09:02:00Z", claim_by: "2026-11-27T09:00:15Z", quantity: 1 },
    { type: "over", outcome: "sold_out" },
    { type: "reconnecting", retry_after_ms: 1500 },
  ]) {
    assert.deepEqual(parseLineMessage(JSON.stringify(message)), message);
  }
});

test("missing and invalid fields get neutral values", () => {
  const place = { type: "place", ordinal: 42, place: 17, behind: 120 };
  const nothing = { ...place, recalled: 0, rate_per_s: null, wait: null, beyond_stock: false, remaining: null };
  for (const more of [
    {},
    { wait: null, rate_per_s: null },
    { wait: {}, rate_per_s: "fast", recalled: -1, beyond_stock: "no" },
    { wait: { likely_s: [1], bounds_s: [0, 1] }, recalled: null },
    { wait: { likely_s: ["1", "2"] }, rate_per_s: -1 },
    { wait: 7, recalled: {}, beyond_stock: 1, remaining: "many" },
  ]) {
    assert.deepEqual(parseLineMessage(JSON.stringify({ ...place, ...more })), nothing, JSON.stringify(more));
  }
  for (const bounds of [{}, { bounds_s: null }, { bounds_s: [3] }, { bounds_s: [3, null] }]) {
    assert.deepEqual(parseLineMessage(JSON.stringify({ ...place, wait: { likely_s: [20, 40], ...bounds }, rate_per_s: 1 })), {
      ...nothing,
      rate_per_s: 1,
      wait: { likely_s: [20, 40], bounds_s: null },
    });
  }
  assert.deepEqual(parseLineMessage('{"type":"place","ordinal":42,"place":17,"behind":120,"rate_per_s":1e999}'), nothing);
});

test("invalid messages, and those of later versions, are skipped", () => {
  for (const text of ["", "{", "null", "7", "[]", "{}", '{"type":"weather"}', '{"type":"toString"}', '{"type":"place","ordinal":1}', '{"type":"sale","sale":null}', '{"type":"over"}']) {
    assert.equal(parseLineMessage(text), undefined, text);
  }
});

test("fields of later versions are ignored", () => {
  assert.equal(parseLineMessage('{"type":"over","outcome":"closed","weather":"fine"}')?.type, "over");
});

test("events are parsed from pieces of any size", () => {
  const text = ': hello\n\nevent: message\ndata: {"a":1}\n\ndata: one\ndata: two\r\n\r\ndata:bare\n\nid: 7\n\n';
  for (let size = 1; size <= text.length; size += 1) {
    const stream = new EventStream();
    const received: string[] = [];
    for (let at = 0; at < text.length; at += size) received.push(...stream.push(text.slice(at, at + size)));
    assert.deepEqual(received, ['{"a":1}', "one\ntwo", "bare"], `in pieces of ${size}`);
  }
});

test("an incomplete event is not delivered", () => {
  const stream = new EventStream();
  assert.deepEqual(stream.push("data: half"), []);
  assert.deepEqual(stream.push("\n"), []);
  assert.deepEqual(stream.push("\n"), ["half"]);
});
