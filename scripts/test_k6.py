"""Asks k6 itself what the three scenarios are: `scripts/load.sh` runs it."""

import json
import subprocess
import sys

# Shoppers, seconds, and how slow the slowest twentieth may be: as k6/README.md has them.
SCENARIOS = {"normal": (10_000, 300, 300), "peak": (100_000, 120, 500), "stress": (100_000, 600, 300)}


def main():
    for name, (shoppers, seconds, p95_ms) in SCENARIOS.items():
        asked = [sys.argv[1], "inspect", "--env", f"SCENARIO={name}", "--env", "SALE=any", "k6/rush.js"]
        output = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
        assert output["scenarios"].keys() == {name}, output["scenarios"]
        scenario = output["scenarios"][name]
        period = {"executor": "constant-arrival-rate", "rate": shoppers, "preAllocatedVUs": shoppers}
        assert period.items() <= scenario.items(), scenario
        assert in_seconds(scenario["timeUnit"]) == in_seconds(scenario["duration"]) == seconds, scenario
        thresholds = {"http_req_failed": ["rate<0.01"], "shopper_failed": ["rate<0.01"], **{metric: [f"p(95)<{p95_ms}"] for metric in ["http_req_duration", "ws_connecting"]}}
        assert output["thresholds"] == thresholds, output["thresholds"]
    print(f"✓ k6: {', '.join(SCENARIOS)} are what they are to be")


def in_seconds(period):
    """`5m0s` is 300."""
    minutes, _, seconds = period.rstrip("s").rpartition("m")
    return 60 * int(minutes or 0) + int(seconds or 0)


main()
