import assert from "node:assert/strict";
import { test } from "node:test";
import { knownZone, momentIn, shownTime, zonedTime, zones } from "../../src/admin/time-zone";

const at = (local: string, zone: string): string => zonedTime(local, zone).toISOString();

test("a local time is converted with the offset of its zone, in summer and in winter", () => {
  assert.equal(at("2026-01-15T09:00", "UTC"), "2026-01-15T09:00:00.000Z");
  assert.equal(at("2026-01-15T09:00", "Europe/Berlin"), "2026-01-15T08:00:00.000Z");
  assert.equal(at("2026-07-15T09:00", "Europe/Berlin"), "2026-07-15T07:00:00.000Z");
  assert.equal(at("2026-07-15T09:00", "Asia/Kathmandu"), "2026-07-15T03:15:00.000Z");
  assert.equal(at("2026-12-31T23:30", "Pacific/Kiritimati"), "2026-12-31T09:30:00.000Z");
});

test("a local time that occurs twice means the first, and a skipped one moves past the gap", () => {
  assert.equal(at("2026-10-25T02:30", "Europe/Berlin"), "2026-10-25T00:30:00.000Z");
  assert.equal(at("2026-03-29T02:30", "Europe/Berlin"), "2026-03-29T01:30:00.000Z");
  assert.equal(at("2026-11-01T01:30", "America/New_York"), "2026-11-01T05:30:00.000Z");
  assert.equal(at("2026-03-29T01:59", "Europe/Berlin"), "2026-03-29T00:59:00.000Z");
  assert.equal(at("2026-03-29T03:00", "Europe/Berlin"), "2026-03-29T01:00:00.000Z");
});

test("an unknown zone becomes UTC", () => {
  assert.deepEqual(["Europe/Berlin", "Nowhere/Nothing", ""].map(knownZone), ["Europe/Berlin", "UTC", "UTC"]);
});

test("a time is shown as it was entered, in every zone and month", () => {
  for (const zone of ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Tokyo"]) {
    for (let month = 1; month <= 12; month += 1) {
      const typed = `2026-${String(month).padStart(2, "0")}-15T12:34`;
      assert.equal(shownTime(at(typed, zone), zone), typed, `${zone} ${typed}`);
    }
  }
  assert.match(momentIn("2026-07-15T07:00:00Z", "Europe/Berlin"), /Wednesday.*09:00/);
  assert.ok(zones().all.includes(zones().own) && zones().all.includes("Europe/Berlin"));
});
