#!/usr/bin/env bash
# Installs missing system packages, as root or with sudo, or prints what to install:
# `scripts/setup.sh demo` for the demo; `scripts/setup.sh test` adds a browser, nginx, PgBouncer,
# promtool, faketime and Python. Does not start, enable or stop services.
set -euo pipefail

redis_needed=7
postgres_needed=15
node_needed=20

log=target/setup.log
missing=()  # packages to install
problems=() # problems that the user has to solve

main() {
    cd "$(dirname "$0")/.."
    look_for "${1:-demo}"
    if ((${#missing[@]} > 0 && ${#problems[@]} == 0)); then
        install_missing
    fi
    if ((${#missing[@]} > 0 && ${#problems[@]} == 0)); then
        missing=()
        look_for "${1:-demo}"
        ((${#missing[@]} == 0)) || problems+=("${missing[*]}: installed just now, and still not found. See $log.")
    fi
    if ((${#problems[@]} > 0)); then
        printf '✗ %s\n' "${problems[@]}" >&2
        exit 1
    fi
    echo "✓ Redis $(redis_version), PostgreSQL $(postgres_version), Node $(node_version)"
}

look_for() {
    has cc || missing+=(gcc libc6-dev)
    has setpriv || missing+=(util-linux)
    at_least $redis_needed "$(redis_version)" || look_for_package redis-server $redis_needed "$(redis_version)"
    at_least $postgres_needed "$(postgres_version)" || look_for_package postgresql $postgres_needed "$(postgres_version)"
    has cargo || problems+=("Rust is not installed. Install it with rustup: https://rustup.rs")
    if ! at_least $node_needed "$(node_version)" || ! has npm; then
        problems+=("Node.js $node_needed or newer, with npm, is needed; found: $(node_version). See https://nodejs.org/en/download")
    fi
    if [[ $1 == test ]]; then
        scripts/chromium.sh >/dev/null || look_for_chromium
        [[ -x /usr/sbin/nginx ]] || has nginx || missing+=(nginx-light)
        [[ -x /usr/sbin/pgbouncer ]] || has pgbouncer || missing+=(pgbouncer)
        has promtool || missing+=(prometheus)
        has faketime || missing+=(faketime)
        has docker-compose || missing+=(docker-compose)
        python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    fi
}

# A package in a version that will do is to be installed; otherwise a person has to get it
# elsewhere.
look_for_package() {
    local package=$1 needed=$2 found=$3 offered
    if ! has apt-get; then
        problems+=("$(name_of "$package") $needed or newer is needed; found: $found. Install it with your system's package manager.")
        return
    fi
    offered=$(offered_version "$package")
    if [[ $offered == none ]]; then
        refresh_packages
        offered=$(offered_version "$package")
    fi
    if at_least "$needed" "$offered"; then
        missing+=("$package")
    else
        problems+=("$(name_of "$package") $needed or newer is needed; found: $found, and this system's packages have: $offered.
  $(how_to_get "$package")")
    fi
}

name_of() {
    case $1 in
    redis-server) echo Redis ;;
    postgresql) echo PostgreSQL ;;
    esac
}

# Debian 12 and Ubuntu 24.04 have both; Ubuntu 22.04 has Redis 6 and PostgreSQL 14.
how_to_get() {
    case $1 in
    redis-server) cat <<'END' ;;
Get it from the archive that Redis keeps:
    sudo apt-get install -y curl gpg lsb-release
    curl -fsSL https://packages.redis.io/gpg | sudo gpg --dearmor -o /usr/share/keyrings/redis-archive-keyring.gpg
    echo "deb [signed-by=/usr/share/keyrings/redis-archive-keyring.gpg] https://packages.redis.io/deb $(lsb_release -cs) main" \
        | sudo tee /etc/apt/sources.list.d/redis.list
    sudo apt-get update && sudo apt-get install -y redis-server
END
    postgresql) cat <<'END' ;;
Get it from the archive that PostgreSQL keeps:
    sudo apt-get install -y postgresql-common
    sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y
    sudo apt-get install -y postgresql-17
END
    esac
}

look_for_chromium() {
    local how="The browser test needs Chromium or Google Chrome, and neither is installed."
    if ! has apt-get; then
        problems+=("$how Install one with your system's package manager.")
        return
    fi
    [[ $(offered_version chromium) != none ]] || refresh_packages
    case $(offered_version chromium) in
    # Ubuntu has it as a snap only, which needs a running snapd.
    none) problems+=("$how Install it: sudo snap install chromium") ;;
    *) missing+=(chromium) ;;
    esac
}

install_missing() {
    as_root_or_explain "sudo apt-get install -y ${missing[*]}"
    ((${#problems[@]} == 0)) || return 0
    refresh_packages
    echo "… installing ${missing[*]}"
    # Starts no service (policy-rc.d forbids it), enables none for the next boot, restarts none, and
    # creates no database. An existing policy is kept.
    if ! as_root bash -s -- "${missing[@]}" >>$log 2>&1 <<'END'; then
        set -euo pipefail
        export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
        policy=/usr/sbin/policy-rc.d
        clusters=/etc/postgresql-common/createcluster.d
        undo=()
        trap '((${#undo[@]} == 0)) || rm -f "${undo[@]}"' EXIT
        if [ ! -e $policy ]; then
            undo+=($policy)
            printf '#!/bin/sh\nexit 101\n' >$policy
            chmod 755 $policy
        fi
        mkdir -p $clusters
        undo+=($clusters/fairline.conf)
        echo 'create_main_cluster = false' >$clusters/fairline.conf
        apt-get install -y --no-install-recommends "$@"
        for package in "$@"; do
            case $package in
            redis-server | postgresql) update-rc.d "$package" disable ;;
            nginx-light) update-rc.d nginx disable ;;
            pgbouncer) update-rc.d pgbouncer disable ;;
            prometheus) update-rc.d prometheus disable ;;
            esac
        done
END
        tail -n 15 $log >&2
        problems+=("The packages could not be installed; the whole story is in $log.")
    fi
}

refresh_packages() {
    [[ -z ${refreshed:-} ]] || return 0
    refreshed=yes
    mkdir -p target
    as_root_or_explain "sudo apt-get update"
    ((${#problems[@]} == 0)) || return 0
    echo "… refreshing the list of packages"
    as_root apt-get update >>$log 2>&1 || echo "  The list of packages could not be refreshed; see $log." >&2
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Notes the command as one for a person to run, unless we can be root.
as_root_or_explain() {
    if ((EUID != 0)) && ! { has sudo && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; }; then
        problems+=("Something is to be installed, and that takes root. Run this, and try again: $1")
    fi
}

redis_version() {
    redis-server --version 2>/dev/null | sed -n 's/.* v=\([0-9.]*\).*/\1/p' | grep . || echo none
}

# The newest of the system's packages, or else the one on the path, as the services choose it.
postgres_version() {
    local newest
    newest=$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -t/ -k5 -n | tail -n 1)
    newest=${newest:-$(command -v initdb || true)}
    { [[ -n $newest ]] && "$newest" --version | sed -n 's/.*(PostgreSQL) \([0-9.]*\).*/\1/p' | grep .; } || echo none
}

node_version() {
    node --version 2>/dev/null | sed -n 's/^v//p' | grep . || echo none
}

# The version that the system's packages have, without Debian's epoch: 7.0.15-1 of 5:7.0.15-1.
offered_version() {
    apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9]*:\)\{0,1\}\([0-9].*\)/\2/p' | grep . || echo none
}

at_least() {
    local major=${2%%[!0-9]*}
    [[ -n $major ]] && ((major >= $1))
}

has() {
    command -v "$1" >/dev/null
}

main "$@"
