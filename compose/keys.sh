#!/usr/bin/env bash
# Makes the keys and passwords of compose.yaml in compose/secrets, once: what is there is left alone.
set -euo pipefail
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
cd secrets

hex() { openssl rand -hex "$1"; }

if [[ ! -e signing.pem ]]; then
    openssl genpkey -algorithm ed25519 -out signing.pem
    # The services run as nobody in particular, and read it through a mount.
    chmod 0444 signing.pem
fi
if [[ ! -e postgres.env ]]; then
    password=$(hex 24) ticket=$(hex 32) gateway=whsec_$(openssl rand -base64 24)
    url=postgres://fairline:$password@postgres:5432/fairline
    printf 'POSTGRES_USER=fairline\nPOSTGRES_DB=fairline\nPOSTGRES_PASSWORD=%s\n' "$password" >postgres.env
    printf 'FAIRLINE_POSTGRES_URL=%s\n' "$url" >migrate.env
    printf 'FAIRLINE_TICKET_KEY=%s\n' "$ticket" >waiting-room.env
    printf 'FAIRLINE_POSTGRES_URL=%s\nFAIRLINE_ADMIN_TOKEN=%s\n' "$url" "$(hex 24)" >admission-controller.env
    printf 'FAIRLINE_POSTGRES_URL=%s\nFAIRLINE_TICKET_KEY=%s\nFAIRLINE_GATEWAY_KEY=sk_sandbox\nFAIRLINE_WEBHOOK_SECRETS=%s\n' \
        "$url" "$ticket" "$gateway" >checkout.env
    printf 'FAIRLINE_WEBHOOK_SECRET=%s\n' "$gateway" >sandbox-gateway.env
    printf 'GF_SECURITY_ADMIN_PASSWORD=%s\n' "$(hex 12)" >grafana.env
fi
echo "✓ compose/secrets; the admin token is in compose/secrets/admission-controller.env, Grafana's password in grafana.env"
