"""Tests the Helm chart: it renders over several values into what Kubernetes knows, keeps what it promises, and refuses bad values with a
sentence. `scripts/test-deploy.sh` runs it, with helm and the schemas of Kubernetes at hand."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema
import kubernetes_validate
import yaml

from fairline_sources import SERVICES, SHARED, answered_by, metrics_emitted, settings_of

CHART = pathlib.Path("helm/fairline")
VALUES = CHART / "tests/values"
REFUSED = CHART / "tests/refused"
OPERATIONS = pathlib.Path("docs/operations.md")
VERSIONS = ["1.30", "1.33"]
# What the chart makes for operators of others, whose schemas Kubernetes does not have.
OF_OTHERS = {kind: json.loads((CHART / f"tests/crds/{kind}.json").read_text()) for kind in ["ServiceMonitor", "PrometheusRule"]}
# What the shop's own systems and the cluster ask, which the world may not.
INSIDE = {"/inventory/reserve", "/inventory/status", "/api/admissions/redeem", "/metrics", "/health/live", "/health/ready"}

FUNCTIONS = {"sum", "rate", "max", "min", "avg", "increase", "histogram_quantile", "by", "le", "label_values", "clamp_min", "count", "vector", "or", "and", "unless", "absent", "offset"}

failures = []


def check(holds, sentence):
    if not holds:
        failures.append(sentence)


def helm(*arguments):
    return subprocess.run([sys.argv[1], *arguments], capture_output=True, text=True)


def template(*values, settings=()):
    files = [argument for file in values for argument in ("--values", str(file))]
    return helm("template", "rel", str(CHART), "--namespace", "shop", *files, *(argument for pair in settings for argument in ("--set", pair)))


class Rendered:
    """What the chart makes of values."""

    def __init__(self, *values, settings=()):
        self.title = values[-1].name
        rendered = template(*values, settings=settings)
        check(rendered.returncode == 0, f"{self.title} does not render: {rendered.stderr}")
        self.objects = [document for document in yaml.safe_load_all(rendered.stdout) if document]

    def all(self, kind):
        return [document for document in self.objects if document["kind"] == kind]

    def one(self, kind, name):
        found = [document for document in self.all(kind) if document["metadata"]["name"] == f"rel-{name}"]
        check(len(found) == 1, f"{self.title} has {len(found)} of {kind} {name}")
        return found[0]

    def has(self, kind, name):
        return any(document["metadata"]["name"] == f"rel-{name}" for document in self.all(kind))

    def env(self, service):
        return {variable["name"]: variable for variable in container(self.one("Deployment", service))["env"]}


def pod(document):
    return document["spec"]["template"]["spec"]


def container(document):
    [only] = pod(document)["containers"]
    return only


def selects(selector, document):
    return selector.items() <= document["spec"]["template"]["metadata"]["labels"].items()


def is_valid(rendered):
    for document in rendered.objects:
        name = f"{document['kind']} {document['metadata']['name']} of {rendered.title}"
        if document["kind"] in OF_OTHERS:
            for error in jsonschema.Draft7Validator(OF_OTHERS[document["kind"]]).iter_errors(document):
                failures.append(f"{name}: {error.json_path}: {error.message}")
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except (kubernetes_validate.ValidationError, kubernetes_validate.InvalidSchemaError) as error:
                failures.append(f"{name} is none of Kubernetes {version}: {error}")


# What holds over all values.


def pods_are_confined(rendered):
    for workload in rendered.all("Deployment") + rendered.all("Job"):
        where, spec, one = f"{workload['metadata']['name']} of {rendered.title}", pod(workload), container(workload)
        check(spec["securityContext"]["runAsNonRoot"] is True, f"{where} may run as root")
        check(spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", f"{where} has no seccomp profile")
        check(spec["automountServiceAccountToken"] is False, f"{where} has a token of the cluster")
        confined = one["securityContext"]
        check(confined["readOnlyRootFilesystem"] and not confined["allowPrivilegeEscalation"], f"{where} is not confined")
        check(confined["capabilities"]["drop"] == ["ALL"], f"{where} has capabilities")
        check({"cpu", "memory"} <= one["resources"]["limits"].keys(), f"{where} has no limits")


def services_are_told_what_is_theirs(rendered):
    table = yaml.safe_load((CHART / "settings.yaml").read_text())
    for service in SERVICES:
        told, env = table[service], rendered.env(service)
        secret = set(told["secrets"]) | set(told["optional"])
        check(set(told["secrets"]) <= env.keys(), f"{service} of {rendered.title} is not told {set(told['secrets']) - env.keys()}")
        check(env.keys() <= {"SSL_CERT_FILE"} | secret | set(told["chart"]) | set(told["env"]), f"{service} of {rendered.title} is told {env.keys()}")
        for name, variable in env.items():
            if name == "SSL_CERT_FILE":
                continue
            check(("valueFrom" in variable) == (name in secret), f"{name} of {service} is no matter of a Secret, or ought to be")
            check("e+" not in variable.get("value", ""), f"{name} of {service} is {variable.get('value')}")
        check(len(env) == len(container(rendered.one("Deployment", service))["env"]), f"{service} is told something twice")


def pods_come_and_go_gently(rendered):
    for service in SERVICES:
        deployment = rendered.one("Deployment", service)
        spec, one = pod(deployment), container(deployment)
        check(one["name"] == service, f"{service} runs {one['name']}")
        check(one["startupProbe"]["httpGet"]["path"] == one["livenessProbe"]["httpGet"]["path"] == "/health/live", f"{service} is not probed")
        check(one["readinessProbe"]["httpGet"]["path"] == "/health/ready", f"{service} is not asked whether it is ready")
        check(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, f"{service} goes before another is there")
        check(0 < one["lifecycle"]["preStop"]["sleep"]["seconds"] < spec["terminationGracePeriodSeconds"] - 20, f"{service} has no time to go")
        spread = {constraint["topologyKey"] for constraint in spec["topologySpreadConstraints"]}
        check(spread == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}, f"{service} is spread over {spread}")
        for constraint in spec["topologySpreadConstraints"]:
            check(selects(constraint["labelSelector"]["matchLabels"], deployment), f"{service} is not spread by its own pods")
        budget = rendered.one("PodDisruptionBudget", service)["spec"]
        check(budget["maxUnavailable"] == 1 and selects(budget["selector"]["matchLabels"], deployment), f"{service} has no disruption budget")
        service_object = rendered.one("Service", service)["spec"]
        others = [other for other in rendered.all("Deployment") if selects(service_object["selector"], other)]
        check(others == [deployment], f"the Service {service} leads to {len(others)} deployments")
        # Where an autoscaler counts the pods, nobody else does.
        check(("replicas" in deployment["spec"]) != rendered.has("HorizontalPodAutoscaler", service), f"two count the pods of {service}")


def routes_are_disjoint(rendered):
    """Each path that a service answers is matched by one route, its own; so no order of trying can be wrong."""
    routes = [
        (re.compile("^" + path["path"], re.IGNORECASE), path["backend"]["service"]["name"])
        for ingress in rendered.all("Ingress")
        for path in ingress["spec"]["rules"][0]["http"]["paths"]
    ]
    for service in SERVICES:
        for path in answered_by(service) | INSIDE:
            led_to = [name for route, name in routes if route.match(path)]
            check(led_to == ([] if path in INSIDE else [f"rel-{service}"]), f"{path} of {service} leads to {led_to}")


def keys_fit(rendered):
    spec, env = pod(rendered.one("Deployment", "admission-controller")), rendered.env("admission-controller")
    mount, volume = container(rendered.one("Deployment", "admission-controller"))["volumeMounts"][0], spec["volumes"][0]
    check(mount["name"] == volume["name"] and mount["readOnly"], "the keys are not mounted")
    files = env["FAIRLINE_SIGNING_KEY_FILE"]["value"].split(",")
    check(all(file.startswith(mount["mountPath"] + "/") for file in files), f"{files} are not where the keys are")
    for service in ["waiting-room", "checkout"]:
        volumes = [volume["name"] for volume in pod(rendered.one("Deployment", service)).get("volumes", [])]
        check("keys" not in volumes, f"{service} has the keys")


# What holds over some.


def least_is_the_seeds(rendered):
    for service in SERVICES:
        limits = container(rendered.one("Deployment", service))["resources"]["limits"]
        check(limits == {"cpu": "500m", "memory": "512Mi"}, f"{service} is limited to {limits}")
    for service in ["waiting-room", "checkout"]:
        cpu, *rest = rendered.one("HorizontalPodAutoscaler", service)["spec"]["metrics"]
        check(cpu["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}, f"{service} scales by {cpu}")
        check((rest != []) == (service == "waiting-room"), f"{service} scales by {rest}")
        if rest:
            metric, target = rest[0]["pods"]["metric"]["name"], rest[0]["pods"]["target"]
            check(target == {"type": "AverageValue", "averageValue": "13500"}, f"{service} scales at {target}")
            [rule] = yaml.safe_load((CHART / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
            served = rule["name"]["as"]
            check(metric == served and rule["seriesQuery"].startswith(metric + "{"), f"the adapter serves {served}, the autoscaler asks for {metric}")
            check(metric in metrics_emitted(), f"nobody emits {metric}, which the autoscaler asks for")
    for ingress in rendered.all("Ingress"):
        said = {name.removeprefix("nginx.ingress.kubernetes.io/"): value for name, value in ingress["metadata"]["annotations"].items()}
        check(said["use-regex"] == "true" and said["proxy-buffering"] == "off", f"the Ingress says {said}")
        check(int(said["proxy-read-timeout"]) >= 3600 and int(said["proxy-send-timeout"]) >= 3600, "sockets do not live for an hour")
        check(not any("affinity" in name for name in said), "shoppers are tied to pods")
    check(rendered.env("checkout")["FAIRLINE_PAGES_URL"]["value"] == "https://sale.example.org", "letters do not lead to the shop")
    check(not rendered.all("ServiceMonitor") and not rendered.all("PrometheusRule"), "what needs an operator is made unasked")


def migrations_come_first(rendered):
    for document in rendered.all("Job") + [rendered.one("NetworkPolicy", "migrate")]:
        said = document["metadata"]["annotations"]
        check(said["helm.sh/hook"] == "pre-install,pre-upgrade", f"{document['kind']} migrate comes {said['helm.sh/hook']}")
        check("hook-succeeded" in said["helm.sh/hook-delete-policy"], f"{document['kind']} migrate stays")
    [job] = rendered.all("Job")
    check(container(job)["args"] == ["migrate"] and container(job)["image"].split("/")[-1].startswith("fairline:"), "the Job does not migrate")
    address, *rest = container(job)["env"]
    check(rest == [] and "volumes" not in pod(job), f"the Job knows {rest}")
    check(address["name"] == "FAIRLINE_POSTGRES_URL" and "secretKeyRef" in address["valueFrom"], "the Job knows more than the database")
    check(int(rendered.one("NetworkPolicy", "migrate")["metadata"]["annotations"]["helm.sh/hook-weight"]) < 0, "the policy comes after the Job")


def policies_keep_apart(rendered, redis, postgres, world, traces, rehearsal, shops):
    reached = {
        "waiting-room": redis | traces,
        "admission-controller": redis | postgres | traces | rehearsal,
        "checkout": redis | postgres | traces | world | {"http"},
        "migrate": postgres,
    }
    for service, ports in reached.items():
        policy = rendered.one("NetworkPolicy", service)["spec"]
        check(policy["policyTypes"] == ["Ingress", "Egress"], f"{service}: the policy is about {policy['policyTypes']}")
        found = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
        check(found == ports | {53}, f"{service} of {rendered.title} reaches {found}, not {ports}")
        namespaces = {
            peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
            for rule in policy["ingress"]
            for peer in rule["from"]
            if "namespaceSelector" in peer
        }
        expected = set() if service == "migrate" else {"ingress-nginx", "monitoring"} | (shops if service == "checkout" else set())
        check(namespaces == expected, f"{service} is reached from {namespaces}")
        workload = rendered.all("Job")[0] if service == "migrate" else rendered.one("Deployment", service)
        check(selects(policy["podSelector"]["matchLabels"], workload), f"the policy of {service} is not about its pods")
        check([rule["ports"] for rule in policy["ingress"]] in ([], [[{"port": "http", "protocol": "TCP"}]]), f"{service} is open")
    # The one way between services: checkout fetches the public keys.
    jwks, keys = rendered.one("NetworkPolicy", "checkout")["spec"]["egress"][-1]["to"], rendered.one("Deployment", "admission-controller")
    check(all(selects(peer["podSelector"]["matchLabels"], keys) for peer in jwks), "checkout does not reach the public keys")
    peers = [peer for rule in rendered.one("NetworkPolicy", "admission-controller")["spec"]["ingress"] for peer in rule["from"] if "podSelector" in peer]
    check([selects(peer["podSelector"]["matchLabels"], rendered.one("Deployment", "checkout")) for peer in peers] == [True], "who reaches the controller")


def everything_is_as_said(rendered):
    # Values reach their places, and what is said last counts.
    env = rendered.env("waiting-room")
    said = {name: env[name]["value"] for name in ["FAIRLINE_SOCKETS_MAX", "FAIRLINE_JOIN_BURST", "FAIRLINE_JOIN_RATE_PER_S", "FAIRLINE_GRACE_S"]}
    check(list(said.values()) == ["1000000", "2000000", "2.5", "90"], f"numbers are written as {said}")
    listen = {service: rendered.env(service)["FAIRLINE_LISTEN"]["value"] for service in SERVICES}
    check(set(listen.values()) == {"[::]:8080"}, f"in a cluster of IPv6 the services listen at {listen}")
    controller = rendered.env("admission-controller")
    check(controller["FAIRLINE_SIGNING_KEY_FILE"]["value"] == "/keys/new.pem,/keys/old.pem", "keys are given in another order")
    check(controller["FAIRLINE_REHEARSAL_PROGRAM"]["value"] == "/fairline", "nobody can rehearse")
    rehearsing = "FROM admission-controller AS rehearsing-controller\nCOPY --from=build /built/fairline /fairline\n"
    check(rehearsing in pathlib.Path("Dockerfile").read_text(), "the rehearsing controller's image has no crowd")
    for service, table in yaml.safe_load((CHART / "settings.yaml").read_text()).items():
        check(table["optional"].keys() <= rendered.env(service).keys(), f"{service} is not told {table['optional'].keys() - rendered.env(service).keys()}")
    for workload in rendered.all("Deployment") + rendered.all("Job"):
        [believed] = [variable["value"] for variable in container(workload)["env"] if variable["name"] == "SSL_CERT_FILE"]
        mounts = {mount["mountPath"]: mount["name"] for mount in container(workload)["volumeMounts"]}
        volumes = {volume["name"]: volume["secret"]["secretName"] for volume in pod(workload)["volumes"]}
        check(believed == "/authorities/bundle.pem" and volumes[mounts["/authorities"]] == "authorities", f"{workload['metadata']['name']} believes {believed}")
    shop, console = rendered.one("Ingress", "fairline"), rendered.one("Ingress", "fairline-console")
    for ingress in [shop, console]:
        check(ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"] == "32k", "an annotation is said twice")
        check(ingress["spec"]["tls"] == [{"hosts": ["sale.example.org"], "secretName": "sale-tls"}], "the Ingress has no TLS")
    closed = "nginx.ingress.kubernetes.io/whitelist-source-range"
    check(closed in console["metadata"]["annotations"] and closed not in shop["metadata"]["annotations"], "the console is not closed off alone")
    [rules], [monitor] = rendered.all("PrometheusRule"), rendered.all("ServiceMonitor")
    check(rules["spec"] == yaml.safe_load((CHART / "alerts.yaml").read_text()), "the alerts of the chart are not those that are tested")
    for service in SERVICES:
        it = rendered.one("Service", service)
        check(monitor["spec"]["selector"]["matchLabels"].items() <= it["metadata"]["labels"].items(), f"{service} is not scraped")
        check({endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= {port["name"] for port in it["spec"]["ports"]}, f"{service} has no such port")
    check(monitor["spec"]["targetLabels"] == ["app.kubernetes.io/component"], "the alerts' labels are not there")
    for document in [rules, monitor]:
        labels = document["metadata"]["labels"]
        check(labels["release"] == "prometheus" and labels["app.kubernetes.io/version"] == "ours", "labels are said twice")
    [dashboard] = rendered.all("ConfigMap")
    check(json.loads(dashboard["data"]["fairline.json"]) == json.loads((CHART / "dashboard.json").read_text()), "the dashboard is another")
    images = {container(workload)["image"] for workload in rendered.all("Deployment") + rendered.all("Job")}
    check(images == {f"registry.example.org/shop/fairline/{image}:1.2.3" for image in ["waiting-room", "rehearsing-controller", "checkout", "fairline"]}, f"the images are {images}")


def worker_is_apart(rendered, without):
    check("FAIRLINE_ROLE" not in without.env("checkout") and not without.has("Deployment", "checkout-worker"), "a worker runs that was not enabled")
    serving, worker = rendered.one("Deployment", "checkout"), rendered.one("Deployment", "checkout-worker")
    roles = [rendered.env(service)["FAIRLINE_ROLE"]["value"] for service in ["checkout", "checkout-worker"]]
    check(roles == ["serve", "worker"], f"the roles of checkout are {roles}")
    check(container(worker)["image"] == container(serving)["image"], "the worker has another image")
    check(rendered.env("checkout").keys() == rendered.env("checkout-worker").keys(), "the worker has other settings")
    check(worker["spec"]["replicas"] == 2 and not rendered.has("HorizontalPodAutoscaler", "checkout-worker"), "the worker has other replicas")
    for kind, name in [("NetworkPolicy", "podSelector"), ("Service", "selector")]:
        of = rendered.one(kind, "checkout-worker")["spec"][name]
        selector = of.get("matchLabels", of)
        check([selects(selector, workload) for workload in [worker, serving]] == [True, False], f"the {kind} of the worker selects other pods")


def small_is_small(rendered):
    for kind in ["HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "Job"]:
        check(not rendered.all(kind), f"small.yaml makes {kind}")
    check("FAIRLINE_PAGES_URL" not in rendered.env("checkout"), "checkout is told an address that is none")


def versions_live_side_by_side(canary, green, blue):
    shop = canary.one("Ingress", "fairline")
    said = shop["metadata"]["annotations"]
    check(said["nginx.ingress.kubernetes.io/canary"] == "true" and 0 < int(said["nginx.ingress.kubernetes.io/canary-weight"]) < 100, "the canary has no share")
    check(not canary.has("Ingress", "fairline-console"), "the canary has a console")
    blues = blue.all("Ingress")
    leads = {path["backend"]["service"]["name"] for ingress in blues for path in ingress["spec"]["rules"][0]["http"]["paths"]}
    check(leads == {f"green-{service}" for service in SERVICES}, f"blue leads to {leads}")
    check(not green.all("Ingress") and len(green.all("Deployment")) == 3, "green is not all but the Ingress")
    # An Ingress is the other's twin: the same host and paths, or it gets no share of them.
    paths = {tuple(sorted(path["path"] for path in ingress["spec"]["rules"][0]["http"]["paths"])) for ingress in [shop, blue.one("Ingress", "fairline")]}
    check(len(paths) == 1, "the canary has other paths")


def settings_are_known():
    table = yaml.safe_load((CHART / "settings.yaml").read_text())
    secrets = yaml.safe_load((CHART / "values.yaml").read_text())["secrets"]
    check(table.keys() == SERVICES.keys(), f"settings.yaml is about {table.keys()}")
    used = {at for told in table.values() for at in [*told["secrets"].values(), *told["optional"].values()]} | {"signingKeys"}
    check(used == secrets.keys(), f"secrets that nobody is told, or that nobody can name: {used ^ secrets.keys()}")
    for service, folder in SERVICES.items():
        known, told = settings_of(folder, *SHARED[service]), table[service]
        secret = {name for name, kind in known.items() if "Secret" in kind}
        check(len(known) > 10 and secret, f"the settings of {service} were not found")
        check(secret == set(told["secrets"]) | set(told["optional"]), f"{service}: from a Secret, and in settings.yaml: {secret ^ (set(told['secrets']) | set(told['optional']))}")
        others = told["chart"] + told["env"]
        check(known.keys() - secret == set(others), f"{service}: other settings, and in settings.yaml: {(known.keys() - secret) ^ set(others)}")
        check(len(others) == len(set(others)), f"settings.yaml names a setting of {service} twice")


def metrics_of(expression):
    """The metrics that an expression asks for: its words, without labels, their values, groups and functions."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"|\b(?:by|without|on)\s*\([^)]*\)", " ", expression)
    words = set(re.findall(r"[a-z_]{4,}", bare)) - FUNCTIONS
    return {re.sub(r"_(bucket|sum|count)$", "", word) for word in words}


def shows_what_is_there():
    known = metrics_emitted()
    check(len(known) > 30, f"only {len(known)} metrics were found in the sources")
    dashboard = json.loads((CHART / "dashboard.json").read_text())
    shown = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]
    rules = [rule for group in yaml.safe_load((CHART / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
    shown += [(rule["alert"], rule["expr"]) for rule in rules]
    for title, expression in shown:
        for metric in metrics_of(expression):
            check(metric in known, f"nobody emits {metric}, which `{title}` shows")
    ids = [panel["id"] for panel in dashboard["panels"]]
    check(len(ids) == len(set(ids)), "two panels of the dashboard have the same id")
    explained = re.findall(r"^\| (Fairline\w+) \|", OPERATIONS.read_text(), re.MULTILINE)
    check(sorted(explained) == sorted(rule["alert"] for rule in rules), f"alerts, and those that docs/operations.md explains: {set(explained) ^ {rule['alert'] for rule in rules}}")
    tested = yaml.safe_load((CHART / "tests/alerts.yaml").read_text())["tests"]
    cases = [(case["alertname"], bool(case["exp_alerts"])) for test in tested for case in test["alert_rule_test"]]
    for rule in rules:
        check({(rule["alert"], True), (rule["alert"], False)} <= set(cases), f"{rule['alert']} is not tested both to fire and to be quiet")
    return len(shown)


def walk_works():
    """The values that docs/operations.md shows render, and the Secrets that they name are those that its commands make."""
    text = OPERATIONS.read_text()
    [shown] = re.findall(r"```yaml\n# my-values\.yaml\n(.*?)```", text, re.DOTALL)
    made = set()
    for name, rest in re.findall(r"kubectl create secret generic (\S+)(.*)", text):
        made |= {(name, key) for key in re.findall(r"--from-literal=([^=\s]+)=", rest)}
        made |= {(name, file.split("=")[0]) for file in re.findall(r"--from-file=(\S+)", rest)}
    made |= {(name, key) for name in re.findall(r"kubectl create secret tls (\S+)", text) for key in ["tls.crt"]}
    with tempfile.NamedTemporaryFile("w", prefix="my-values", suffix=".yaml") as file:
        file.write(shown)
        file.flush()
        rendered = Rendered(pathlib.Path(file.name))
    named = {
        (variable["valueFrom"]["secretKeyRef"]["name"], variable["valueFrom"]["secretKeyRef"]["key"])
        for workload in rendered.all("Deployment") + rendered.all("Job")
        for variable in container(workload)["env"]
        if "valueFrom" in variable
    }
    [keys] = pod(rendered.one("Deployment", "admission-controller"))["volumes"]
    named |= {(keys["secret"]["secretName"], file.removeprefix("/keys/")) for file in rendered.env("admission-controller")["FAIRLINE_SIGNING_KEY_FILE"]["value"].split(",")}
    named |= {(tls["secretName"], "tls.crt") for ingress in rendered.all("Ingress") for tls in ingress["spec"].get("tls", [])}
    check(named <= made, f"docs/operations.md names Secrets that it does not make: {named - made}")
    pushed = set(re.findall(r"--tag (\S+)/\$service:(\S+)", text))
    images = {tuple(container(workload)["image"].rsplit("/", 1)) for workload in rendered.all("Deployment") + rendered.all("Job")}
    check({(folder, image.split(":")[1]) for folder, image in images} == pushed, f"docs/operations.md pushes {pushed}, and the chart wants {images}")
    for chapter in re.findall(r"`(helm/fairline/[^`]+)`", text):
        check(pathlib.Path(chapter).exists(), f"docs/operations.md speaks of {chapter}, which is not there")


def release_names_its_images():
    """The release sets the chart's repository where it is the default's, and bakes an image of each service."""
    release = pathlib.Path(".github/workflows/release.yml").read_text()
    [default] = re.findall(r"sed -i \"s\|\^(.*?)\$\|", release)
    check(f"\n{default}\n" in (CHART / "values.yaml").read_text(), f"values.yaml has no line `{default}`, which the release changes")
    [baked] = re.findall(r"service = (\[.*?\])", pathlib.Path("docker-bake.hcl").read_text())
    [tagged] = re.findall(r"for service in (.*?); do\n\s+image=", release)
    stages = re.findall(r"^FROM (?:service|admission-controller) AS (\S+)$", pathlib.Path("Dockerfile").read_text(), re.MULTILINE)
    check(json.loads(baked) == tagged.split() == stages, f"the images are {stages}; baked: {baked}, released: {tagged}")


def refuses():
    refused = sorted(REFUSED.glob("*.yaml"))
    for values in refused:
        first, *_ = values.read_text().splitlines()
        sentence = first.removeprefix("# says: ")
        tried = template(VALUES / "least.yaml", values)
        check(tried.returncode != 0, f"{values} is not refused")
        check(sentence in tried.stderr, f"{values} is refused with: {tried.stderr}")
    return len(refused)


def main():
    shown = shows_what_is_there()
    settings_are_known()
    walk_works()
    release_names_its_images()
    linted = helm("lint", "--strict", str(CHART), "--values", str(VALUES / "least.yaml"))
    check(linted.returncode == 0, f"helm lint: {linted.stdout}{linted.stderr}")
    rendered = {values.stem: Rendered(VALUES / "least.yaml", values) for values in sorted(VALUES.glob("*.yaml"))}
    for each in rendered.values():
        is_valid(each)
        pods_are_confined(each)
        services_are_told_what_is_theirs(each)
        pods_come_and_go_gently(each)
        keys_fit(each)
    least, everything = rendered["least"], rendered["everything"]
    routes_are_disjoint(least)
    least_is_the_seeds(least)
    migrations_come_first(least)
    policies_keep_apart(least, {6379}, {5432}, {443, 465, 587}, set(), set(), set())
    policies_keep_apart(everything, {6379, 26379}, {5432}, {443, 587, 8443}, {4318}, {8443}, {"shop-backend"})
    everything_is_as_said(everything)
    worker_is_apart(everything, least)
    small_is_small(rendered["small"])
    versions_live_side_by_side(rendered["canary"], rendered["green"], rendered["blue-leads-to-green"])
    refused = refuses()
    for failure in failures:
        print(f"✗ {failure}")
    objects = sum(len(each.objects) for each in rendered.values())
    print(f"{'✗' if failures else '✓'} the chart: {objects} objects rendered and validated, {refused} bad values refused, {shown} queries of known metrics")
    sys.exit(bool(failures))


main()
