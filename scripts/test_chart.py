"""Tests the Helm chart: it renders over several values into what Kubernetes knows, keeps what it promises, and refuses bad values with a
sentence. `scripts/test-deploy.sh` runs it, with helm and the schemas of Kubernetes at hand."""

import json
import pathlib
import re
import subprocess
import sys

import kubernetes_validate
import yaml

CHART = pathlib.Path("helm/fairline")
VALUES = CHART / "tests/values"
REFUSED = CHART / "tests/refused"
VERSIONS = ["1.29", "1.33"]
# What the chart makes for operators of others, whose schemas Kubernetes does not have.
OF_OTHERS = {"ServiceMonitor", "PrometheusRule"}

# Metrics are named in the sources, and their series by Prometheus' own rules.
SOURCES = [file for folder in ["admission-controller", "checkout", "waiting-room", "crates/service"] for file in pathlib.Path(folder).rglob("src/**/*.rs")]
FUNCTIONS = {"sum", "rate", "max", "min", "avg", "increase", "histogram_quantile", "by", "le", "label_values", "clamp_min", "count"}

failures = []


def check(holds, sentence):
    if not holds:
        failures.append(sentence)


def helm(*arguments):
    return subprocess.run([sys.argv[1], *arguments], capture_output=True, text=True)


def render(values):
    rendered = helm("template", "rel", str(CHART), "--namespace", "shop", "--values", str(VALUES / "least.yaml"), "--values", str(values))
    check(rendered.returncode == 0, f"{values} does not render: {rendered.stderr}")
    return [document for document in yaml.safe_load_all(rendered.stdout) if document]


def pod(document):
    return document["spec"]["template"]["spec"]


def validate(values, documents):
    for document in documents:
        name = f"{document['kind']} {document['metadata']['name']} of {values.name}"
        if document["kind"] in OF_OTHERS:
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except (kubernetes_validate.ValidationError, kubernetes_validate.InvalidSchemaError) as error:
                failures.append(f"{name} is none of Kubernetes {version}: {error}")


def names(container):
    return {variable["name"] for variable in container["env"]}


def keeps_its_promises(values, documents):
    by_kind = {}
    for document in documents:
        by_kind.setdefault(document["kind"], []).append(document)
    for workload in by_kind.get("Deployment", []) + by_kind.get("Job", []):
        where, spec = f"{workload['metadata']['name']} of {values.name}", pod(workload)
        check(spec["securityContext"]["runAsNonRoot"] is True, f"{where} may run as root")
        check(spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", f"{where} has no seccomp profile")
        check(spec["automountServiceAccountToken"] is False, f"{where} has a token of the cluster")
        for container in spec["containers"]:
            confined = container["securityContext"]
            check(confined["readOnlyRootFilesystem"] and not confined["allowPrivilegeEscalation"], f"{where} is not confined")
            check(confined["capabilities"]["drop"] == ["ALL"], f"{where} has capabilities")
            check({"cpu", "memory"} <= container["resources"]["limits"].keys(), f"{where} has no limits")
    for deployment in by_kind["Deployment"]:
        name, [container] = deployment["metadata"]["name"], pod(deployment)["containers"]
        check(all(probe in container for probe in ["startupProbe", "livenessProbe", "readinessProbe"]), f"{name} is not probed")
        knows = names(container)
        if name.endswith("waiting-room"):
            check("FAIRLINE_POSTGRES_URL" not in knows, "a waiting room knows Postgres")
        check(("FAIRLINE_SIGNING_KEY_FILE" in knows) == name.endswith("admission-controller"), f"who signs: {name}")
        check(name.endswith(container["name"]), f"{name} runs {container['name']}")
    budgets = {budget["metadata"]["name"] for budget in by_kind["PodDisruptionBudget"]}
    check(budgets == {deployment["metadata"]["name"] for deployment in by_kind["Deployment"]}, "a service has no disruption budget")
    for policy in by_kind.get("NetworkPolicy", []):
        if policy["metadata"]["name"].endswith("waiting-room"):
            ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
            check(ports == {53, 6379}, f"a waiting room reaches {ports}")
    for ingress in by_kind.get("Ingress", []):
        paths = [path["path"] for path in ingress["spec"]["rules"][0]["http"]["paths"]]
        check(not any("metrics" in path or "health" in path or "inventory" in path for path in paths), "what is inside is shown outside")
    for job in by_kind.get("Job", []):
        check("pre-upgrade" in job["metadata"]["annotations"]["helm.sh/hook"], "migrations do not come first")


def emitted():
    """The metrics that the services emit."""
    macro = re.compile(r'metrics::(?:counter|gauge|histogram)!\(\s*"([a-z_]+)"')
    return {name for file in SOURCES for name in macro.findall(file.read_text())}


def metrics_of(expression):
    """The metrics that an expression asks for: its words, without labels, their values, groups and functions."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"|\b(?:by|without|on)\s*\([^)]*\)", " ", expression)
    words = set(re.findall(r"[a-z_]{4,}", bare)) - FUNCTIONS
    return {re.sub(r"_(bucket|sum|count)$", "", word) for word in words}


def shows_what_is_there():
    known = emitted()
    check(len(known) > 30, f"only {len(known)} metrics were found in the sources")
    dashboard = json.loads((CHART / "dashboard.json").read_text())
    shown = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]
    rules = yaml.safe_load((CHART / "alerts.yaml").read_text())
    shown += [(rule["alert"], rule["expr"]) for group in rules["groups"] for rule in group["rules"]]
    for title, expression in shown:
        for metric in metrics_of(expression):
            check(metric in known, f"nobody emits {metric}, which `{title}` shows")
    ids = [panel["id"] for panel in dashboard["panels"]]
    check(len(ids) == len(set(ids)), "two panels of the dashboard have the same id")
    return len(shown)


def main():
    shown = shows_what_is_there()
    linted = helm("lint", "--strict", str(CHART), "--values", str(VALUES / "least.yaml"))
    check(linted.returncode == 0, f"helm lint: {linted.stdout}{linted.stderr}")
    rendered = 0
    for values in sorted(VALUES.glob("*.yaml")):
        documents = render(values)
        if documents:
            validate(values, documents)
            keeps_its_promises(values, documents)
            rendered += len(documents)
    refused = sorted(REFUSED.glob("*.yaml"))
    for values in refused:
        first, *_ = values.read_text().splitlines()
        sentence = first.removeprefix("# says: ")
        tried = helm("template", "rel", str(CHART), "--values", str(VALUES / "least.yaml"), "--values", str(values))
        check(tried.returncode != 0, f"{values} is not refused")
        check(sentence in tried.stderr, f"{values} is refused with: {tried.stderr}")
    for failure in failures:
        print(f"✗ {failure}")
    print(f"{'✗' if failures else '✓'} the chart: {rendered} objects rendered and validated, {len(refused)} bad values refused, {shown} queries of known metrics")
    sys.exit(bool(failures))


main()
