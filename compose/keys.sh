#!/usr/bin/env bash
# Generates the keys and passwords of compose.yaml in compose/secrets. Does nothing if that folder
# exists.
set -euo pipefail
umask 077
cd "$(dirname "$0")"

main() {
    if [[ ! -e secrets ]]; then
        folder=$(mktemp -d ./secrets.XXXXXX)
        trap 'rm -rf "$folder"' EXIT
        make_keys
        chmod 0755 "$folder"
        mv "$folder" secrets
    fi
    echo "✓ compose/secrets; the admin token is in compose/secrets/admission-controller.env, Grafana's password in grafana.env"
}

make_keys() {
    local password ticket gateway url
    password=$(hex 24) ticket=$(hex 32) gateway=whsec_$(openssl rand -base64 24)
    url=postgres://fairline:$password@postgres:5432/fairline
    openssl genpkey -algorithm ed25519 -out "$folder/signing.pem"
    # The services run as an unprivileged user, and read it through a mount.
    chmod 0444 "$folder/signing.pem"
    write postgres POSTGRES_USER=fairline POSTGRES_DB=fairline "POSTGRES_PASSWORD=$password"
    write migrate "FAIRLINE_POSTGRES_URL=$url"
    write waiting-room "FAIRLINE_TICKET_KEY=$ticket"
    write admission-controller "FAIRLINE_POSTGRES_URL=$url" "FAIRLINE_ADMIN_TOKEN=$(hex 24)"
    write checkout "FAIRLINE_POSTGRES_URL=$url" "FAIRLINE_TICKET_KEY=$ticket" FAIRLINE_GATEWAY_KEY=sk_sandbox "FAIRLINE_WEBHOOK_SECRETS=$gateway"
    write sandbox-gateway "FAIRLINE_WEBHOOK_SECRET=$gateway"
    write grafana "GF_SECURITY_ADMIN_PASSWORD=$(hex 12)"
}

# write SERVICE NAME=VALUE...
write() {
    local service=$1
    shift
    printf '%s\n' "$@" >"$folder/$service.env"
}

hex() { openssl rand -hex "$1"; }

main
