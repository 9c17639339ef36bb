#!/usr/bin/env bash
# Calls every operation of the three OpenAPI documents of a demo with generated requests: `scripts/test-api.sh [EXAMPLES]`.
# No answer is a 5xx but 503, and none is undocumented in status, content type or schema.
set -euo pipefail
cd "$(dirname "$0")/.."

schemathesis_version=4.32.5
tools=$PWD/target/tools
fairline=${FAIRLINE_BIN:-target/debug/fairline}
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance

main() {
    [[ $(cat "$tools/schemathesis/version" 2>/dev/null) == "$schemathesis_version" ]] || install
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
    base=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["shop_url"].rstrip("/"))' "$folder/demo/demo.json")
    # The line's operation takes a place for each request and holds WebSockets open; the protocol has tests of its own.
    document waiting-room admin-token "$1"
    document checkout merchant-key "$1"
    # A rehearsal sends a crowd; the live operation is a WebSocket.
    document admission-controller admin-token "$1" --exclude-path-regex 'rehearsals|/live$'
}

# document NAME KEY EXAMPLES [OPTION...]
document() {
    local name=$1 key=$2 examples=$3 log="$folder/$1.log"
    shift 3
    # It keeps what it has found in the folder where it runs.
    if ! (cd "$folder" && "$tools/schemathesis/bin/st" run "$base/openapi/$name.json" --url "$base" --checks "$checks" \
        --header "Authorization: Bearer $(cat "$folder/demo/keys/$key")" --phases examples,coverage,fuzzing \
        --max-examples "$examples" --generation-deterministic --continue-on-failure --request-timeout 20 --no-color "$@") >"$log" 2>&1; then
        cat "$log"
        return 1
    fi
    echo "✓ openapi/$name.json: $(grep -oE '[0-9]+ generated' "$log" | tail -n 1) requests"
}

install() {
    echo "… installing schemathesis in $tools"
    mkdir -p "$tools"
    python3 -m venv "$tools/schemathesis"
    "$tools/schemathesis/bin/python" -m pip install --quiet --disable-pip-version-check "schemathesis==$schemathesis_version"
    echo "$schemathesis_version" >"$tools/schemathesis/version"
}

stop() {
    kill "$demo" 2>/dev/null || true
    wait "$demo" 2>/dev/null || true
    rm -rf "$folder"
}

main "${1:-10}"
