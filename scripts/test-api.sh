#!/usr/bin/env bash
# Calls every operation of a demo's OpenAPI documents with generated requests:
# `scripts/test-api.sh [EXAMPLES]`. Every response must be documented, and 503 is the only 5xx.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/demo.sh

schemathesis_version=4.32.5
tools=$PWD/target/tools
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance

main() {
    [[ $(cat "$tools/schemathesis/version" 2>/dev/null) == "$schemathesis_version" ]] || install
    start_demo
    document waiting-room admin-token "$1"
    document checkout merchant-key "$1"
    # A rehearsal sends a crowd; the live operation is a WebSocket.
    document admission-controller admin-token "$1" --exclude-path-regex 'rehearsals|/live$'
}

# document NAME KEY EXAMPLES [OPTION...]
document() {
    local name=$1 key=$2 examples=$3 log="$folder/$1.log"
    shift 3
    # schemathesis stores its findings in the current folder.
    if ! (cd "$folder" && "$tools/schemathesis/bin/st" run "${base}openapi/$name.json" --url "${base%/}" --checks "$checks" \
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

main "${1:-10}"
