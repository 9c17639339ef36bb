#!/usr/bin/env bash
# Prints where this machine's Chromium is: $CHROMIUM, or the first of its usual names on the path.
# Fails if not found.
set -euo pipefail

for name in ${CHROMIUM:+"$CHROMIUM"} chromium chromium-browser google-chrome google-chrome-stable; do
    # Without snapd, Ubuntu's chromium-browser is a script that only prints an error.
    if path=$(command -v "$name") && "$path" --version >/dev/null 2>&1; then
        echo "$path"
        exit
    fi
done
exit 1
