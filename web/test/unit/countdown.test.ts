import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { PlaceMessage } from "../../src/shared/api";
import { applyPlace, cameBackAt, placeAt, stopCountdown, type ShownPlace } from "../../src/shopper/countdown";
import { seededRandom } from "./random";
import { place as sample } from "./samples";

const placeMessage = (changes: Partial<PlaceMessage>): PlaceMessage => ({ ...sample, recalled: 0, rate_per_s: 1, ...changes });
const apply = (before: ShownPlace | undefined, changes: Partial<PlaceMessage>, nowMs = 0): ShownPlace => applyPlace(before, placeMessage(changes), nowMs);

describe("between two messages", () => {
  test("a place counts down at the rate that it came with, in whole people", () => {
    const place = apply(undefined, { place: 17, rate_per_s: 0.6 }, 5_000);
    const shown = [0, 1_666, 1_667, 3_333, 3_334, 28_333, 28_334, 3_600_000].map((ms) => placeAt(place, 5_000 + ms));
    assert.deepEqual(shown, [17, 16, 15, 15, 14, 0, 0, 0]);
  });

  test("without a rate it stands still", () => {
    assert.equal(placeAt(apply(undefined, { place: 17, rate_per_s: null }), 3_600_000), 17);
    assert.equal(placeAt(apply(undefined, { place: 17, rate_per_s: 0 }), 3_600_000), 17);
    assert.equal(placeAt(apply(undefined, { place: 17, rate_per_s: -5 }), 3_600_000), 17, "a negative rate stands still");
  });

  test("it stops where it is when the line stops, and continues with the next message", () => {
    const stopped = stopCountdown(apply(undefined, { place: 100 }), 10_500);
    assert.equal(placeAt(stopped, 10_500), 89);
    assert.equal(placeAt(stopped, 60_000), 89);
    assert.equal(placeAt(stopCountdown(stopped, 90_000), 120_000), 89);
    assert.equal(placeAt(apply(stopped, { place: 80 }, 120_000), 121_000), 79);
  });
});

describe("a message", () => {
  test("with a lower place applies at once", () => {
    assert.equal(placeAt(apply(apply(undefined, { place: 100 }), { place: 50 }, 1_000), 1_000), 50);
  });

  test("with a higher place waits: the place shown does not grow", () => {
    const place = apply(apply(undefined, { place: 100, rate_per_s: 10 }), { place: 95 }, 1_000);
    assert.deepEqual([1_000, 6_000, 6_001, 7_000].map((ms) => placeAt(place, ms)), [90, 90, 89, 89]);
  });

  test("with recalled shoppers lets the place grow by their number, and explains it for a minute", () => {
    const before = apply(undefined, { place: 100, rate_per_s: 10 });
    const after = apply(before, { place: 98, recalled: 3, rate_per_s: 0 }, 1_000);
    assert.equal(placeAt(after, 1_000), 93);
    assert.equal(cameBackAt(before, 1_000), 0);
    assert.equal(cameBackAt(after, 60_999), 3);
    assert.equal(cameBackAt(after, 61_000), 0);
  });

  test("explains only a growth that is visible", () => {
    assert.equal(cameBackAt(apply(apply(undefined, { place: 100 }), { place: 100, recalled: 3 }, 0), 0), 0, "three have left");
    assert.equal(cameBackAt(apply(apply(undefined, { place: 100 }), { place: 101, recalled: 3 }, 0), 0), 1, "two have left");
    assert.equal(cameBackAt(apply(apply(undefined, { place: 100, recalled: 5 }), { place: 100, recalled: 2 }, 0), 0), 0, "three were served");
  });

  test("adds up recalled shoppers while the explanation is shown", () => {
    const two = apply(apply(undefined, { place: 10, rate_per_s: 0 }), { place: 12, recalled: 2, rate_per_s: 0 }, 0);
    const three = apply(two, { place: 13, recalled: 3, rate_per_s: 0 }, 30_000);
    assert.equal(cameBackAt(three, 89_999), 3);
    assert.equal(cameBackAt(apply(three, { place: 14, recalled: 4, rate_per_s: 0 }, 90_000), 90_000), 1);
    assert.equal(cameBackAt(apply(three, { place: 11, recalled: 1, rate_per_s: 0 }, 40_000), 40_000), 3, "fewer recalled shoppers do not lower it");
  });

  test("for another ticket starts over", () => {
    const place = apply(apply(undefined, { ordinal: 42, place: 3 }), { ordinal: 80, place: 40, recalled: 2 }, 1_000);
    assert.equal(placeAt(place, 1_000), 40);
    assert.equal(cameBackAt(place, 1_000), 0);
  });
});

test("a shown place grows only by recalls, and never exceeds the place of the message", () => {
  for (let seed = 1; seed <= 500; seed += 1) {
    const random = seededRandom(seed);
    const upTo = (most: number): number => Math.floor(random() * (most + 1));
    let nowMs = upTo(1e6);
    let message = placeMessage({ place: upTo(300), recalled: upTo(5), rate_per_s: random() < 0.2 ? null : random() * 20 });
    let messageAtMs = nowMs;
    let moving = true;
    let place = applyPlace(undefined, message, nowMs);
    // The naive model: it remembers only the last number shown.
    let shown = message.place;
    const check = (step: string): void => {
      const counted = moving ? Math.floor(Math.max(0, message.place - ((message.rate_per_s ?? 0) * (nowMs - messageAtMs)) / 1000)) : shown;
      const now = placeAt(place, nowMs);
      assert.ok(now <= shown, `seed ${seed}: ${step} from ${shown} to ${now}`);
      assert.ok(now <= message.place && now >= 0, `seed ${seed}: ${step} to ${now}, the message has ${message.place}`);
      assert.equal(now, Math.min(shown, counted), `seed ${seed}: ${step}`);
      shown = now;
    };
    for (let step = 0; step < 60; step += 1) {
      nowMs += upTo(3_000);
      check("waiting");
      const event = random();
      if (event < 0.4) {
        const next = placeMessage({ place: Math.max(0, message.place + upTo(12) - 8), recalled: Math.max(0, message.recalled + upTo(4) - 2), rate_per_s: random() < 0.2 ? null : random() * 20 });
        shown += Math.max(0, next.recalled - message.recalled);
        place = applyPlace(place, next, nowMs);
        [message, messageAtMs, moving] = [next, nowMs, true];
        check("receiving");
      } else if (event < 0.5) {
        place = stopCountdown(place, nowMs);
        moving = false;
        check("stopping");
      }
    }
  }
});
