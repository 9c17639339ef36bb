#!/usr/bin/env bash
# Calls every operation of a demo's OpenAPI documents with generated requests:
# `scripts/test-api.sh [EXAMPLES]`. Every response must be documented, and none is a 5xx: every
# operation documents 503 for a dependency that is down, and none is down here.
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
    none_unavailable
}

# Fails if the demo is not ready in the end, or has returned a 503, whatever schemathesis accepts.
none_unavailable() {
    local metrics unavailable
    curl --silent --show-error --fail --max-time 20 "${base}health/ready" >/dev/null
    metrics=$(curl --silent --show-error --fail --max-time 20 "${base}metrics")
    if ! grep -q '^http_request_duration_seconds_count{.*status="200"' <<<"$metrics"; then
        echo "The metrics count no requests by status." >&2
        return 1
    fi
    unavailable=$(grep '^http_request_duration_seconds_count{.*status="503"' <<<"$metrics" || true)
    if [[ -n $unavailable ]]; then
        printf 'These were answered with 503, and the demo is ready:\n%s\n' "$unavailable" >&2
        return 1
    fi
    echo "✓ no request returned 503"
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
