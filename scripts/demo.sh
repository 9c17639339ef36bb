# shellcheck shell=bash
# A demo for the tests of scripts/, to be sourced. `start_demo` sets `folder`, `base` (its URL,
# which ends with a slash) and `demo`.
fairline=${FAIRLINE_BIN:-target/debug/fairline}

start_demo() {
    folder=$(mktemp -d)
    chmod 0711 "$folder"
    "$fairline" demo --dir "$folder/demo" --port 0 >"$folder/demo.log" 2>&1 &
    demo=$!
    trap stop_demo EXIT
    for _ in {1..600}; do
        [[ -s $folder/demo/demo.json ]] && break
        kill -0 "$demo" 2>/dev/null || { cat "$folder/demo.log" >&2; exit 1; }
        sleep 0.2
    done
    # shellcheck disable=SC2034 # The scripts that source this use it.
    base=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["shop_url"])' "$folder/demo/demo.json")
}

stop_demo() {
    kill "$demo" 2>/dev/null || true
    wait "$demo" 2>/dev/null || true
    rm -rf "$folder"
}
