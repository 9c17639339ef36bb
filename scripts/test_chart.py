"""Tests the Helm chart: it renders with several values into valid objects with the expected settings, and rejects bad values with an
error. `scripts/test-deploy.sh` runs it, with helm and the schemas of Kubernetes."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema
import kubernetes_validate
import yaml

import chart_readme
from fairline_sources import SERVICES, SHARED, answered_by, metrics_emitted, settings_of

CHART = pathlib.Path("helm/fairline")
VALUES = CHART / "ci"
REFUSED = CHART / "ci/refused"
OPERATIONS = pathlib.Path("docs/operations.md")
VERSIONS = ["1.30", "1.33"]
# Schemas of custom resources, which Kubernetes does not include.
CUSTOM_RESOURCES = {kind: json.loads((CHART / f"ci/crds/{kind}.json").read_text()) for kind in ["ServiceMonitor", "PrometheusRule"]}
# Paths for the merchant's own systems and the cluster, which must not be reachable from outside.
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
    """The objects that the chart renders from values."""

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
        if document["kind"] in CUSTOM_RESOURCES:
            for error in jsonschema.Draft7Validator(CUSTOM_RESOURCES[document["kind"]]).iter_errors(document):
                failures.append(f"{name}: {error.json_path}: {error.message}")
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except (kubernetes_validate.ValidationError, kubernetes_validate.InvalidSchemaError) as error:
                failures.append(f"{name} is not valid in Kubernetes {version}: {error}")


# Checks for all values.


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


def services_have_their_settings(rendered):
    table = yaml.safe_load((CHART / "files/settings.yaml").read_text())
    for service in SERVICES:
        entry, env = table[service], rendered.env(service)
        secret = set(entry["secrets"]) | set(entry["optional"])
        check(set(entry["secrets"]) <= env.keys(), f"{service} of {rendered.title} lacks {set(entry['secrets']) - env.keys()}")
        check(env.keys() <= {"SSL_CERT_FILE"} | secret | set(entry["chart"]) | set(entry["env"]), f"{service} of {rendered.title} has {env.keys()}")
        for name, variable in env.items():
            if name == "SSL_CERT_FILE":
                continue
            check(("valueFrom" in variable) == (name in secret), f"{name} of {service} comes from a Secret and should not, or the reverse")
            check("e+" not in variable.get("value", ""), f"{name} of {service} is {variable.get('value')}")
        check(len(env) == len(container(rendered.one("Deployment", service))["env"]), f"{service} has a setting twice")


def pods_start_and_stop_gracefully(rendered):
    for service in SERVICES:
        deployment = rendered.one("Deployment", service)
        spec, one = pod(deployment), container(deployment)
        check(one["name"] == service, f"{service} runs {one['name']}")
        check(one["startupProbe"]["httpGet"]["path"] == one["livenessProbe"]["httpGet"]["path"] == "/health/live", f"{service} has no liveness probe")
        check(one["readinessProbe"]["httpGet"]["path"] == "/health/ready", f"{service} has no readiness probe")
        check(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, f"{service} may stop a pod before its replacement is ready")
        check(0 < one["lifecycle"]["preStop"]["sleep"]["seconds"] < spec["terminationGracePeriodSeconds"] - 20, f"{service} has too little time to stop")
        spread = {constraint["topologyKey"] for constraint in spec["topologySpreadConstraints"]}
        check(spread == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}, f"{service} is spread over {spread}")
        for constraint in spec["topologySpreadConstraints"]:
            check(selects(constraint["labelSelector"]["matchLabels"], deployment), f"{service} is not spread by its own pods")
        budget = rendered.one("PodDisruptionBudget", service)["spec"]
        check(budget["maxUnavailable"] == 1 and selects(budget["selector"]["matchLabels"], deployment), f"{service} has no disruption budget")
        service_object = rendered.one("Service", service)["spec"]
        others = [other for other in rendered.all("Deployment") if selects(service_object["selector"], other)]
        check(others == [deployment], f"the Service {service} leads to {len(others)} deployments")
        # An autoscaler and `replicas` exclude each other.
        check(("replicas" in deployment["spec"]) != rendered.has("HorizontalPodAutoscaler", service), f"{service} has both replicas and an autoscaler, or neither")


def routes_are_disjoint(rendered):
    """Each path of a service matches exactly one route, so the order of routes does not matter."""
    routes = [
        (re.compile("^" + path["path"], re.IGNORECASE), path["backend"]["service"]["name"])
        for ingress in rendered.all("Ingress")
        for path in ingress["spec"]["rules"][0]["http"]["paths"]
    ]
    for service in SERVICES:
        for path in answered_by(service) | INSIDE:
            backends = [name for route, name in routes if route.match(path)]
            check(backends == ([] if path in INSIDE else [f"rel-{service}"]), f"{path} of {service} is routed to {backends}")


def keys_fit(rendered):
    spec, env = pod(rendered.one("Deployment", "admission-controller")), rendered.env("admission-controller")
    mount, volume = container(rendered.one("Deployment", "admission-controller"))["volumeMounts"][0], spec["volumes"][0]
    check(mount["name"] == volume["name"] and mount["readOnly"], "the keys are not mounted")
    files = env["FAIRLINE_SIGNING_KEY_FILE"]["value"].split(",")
    check(all(file.startswith(mount["mountPath"] + "/") for file in files), f"{files} are not where the keys are")
    for service in ["waiting-room", "checkout"]:
        volumes = [volume["name"] for volume in pod(rendered.one("Deployment", service)).get("volumes", [])]
        check("keys" not in volumes, f"{service} has the keys")


# Checks for some values.


def least_has_the_defaults(rendered):
    for service in SERVICES:
        limits = container(rendered.one("Deployment", service))["resources"]["limits"]
        memory = "1Gi" if service == "admission-controller" else "512Mi"
        check(limits == {"cpu": "500m", "memory": memory}, f"{service} is limited to {limits}")
    for service in ["waiting-room", "checkout"]:
        cpu, *rest = rendered.one("HorizontalPodAutoscaler", service)["spec"]["metrics"]
        check(cpu["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}, f"{service} scales by {cpu}")
        check((rest != []) == (service == "waiting-room"), f"{service} scales by {rest}")
        if rest:
            metric, target = rest[0]["pods"]["metric"]["name"], rest[0]["pods"]["target"]
            check(target == {"type": "AverageValue", "averageValue": "13500"}, f"{service} scales at {target}")
            [rule] = yaml.safe_load((CHART / "files/prometheus-adapter.yaml").read_text())["rules"]["custom"]
            served = rule["name"]["as"]
            check(metric == served and rule["seriesQuery"].startswith(metric + "{"), f"the adapter serves {served}, the autoscaler reads {metric}")
            check(metric in metrics_emitted(), f"no service emits {metric}, which the autoscaler reads")
    for ingress in rendered.all("Ingress"):
        annotations = {name.removeprefix("nginx.ingress.kubernetes.io/"): value for name, value in ingress["metadata"]["annotations"].items()}
        check(annotations["proxy-body-size"] == ("11m" if ingress["metadata"]["name"].endswith("-console") else "64k"), f"the Ingress has {annotations}")
        check(annotations["use-regex"] == "true" and annotations["proxy-buffering"] == "off", f"the Ingress has {annotations}")
        check(int(annotations["proxy-read-timeout"]) >= 3600 and int(annotations["proxy-send-timeout"]) >= 3600, "WebSockets are closed within an hour")
        check(not any("affinity" in name for name in annotations), "the Ingress has session affinity")
    check(rendered.env("checkout")["FAIRLINE_PAGES_URL"]["value"] == "https://sale.example.org", "notifications do not link to the shop")
    check(not rendered.all("ServiceMonitor") and not rendered.all("PrometheusRule"), "custom resources are rendered by default")


def migrations_come_first(rendered):
    for document in rendered.all("Job") + [rendered.one("NetworkPolicy", "migrate")]:
        annotations = document["metadata"]["annotations"]
        check(annotations["helm.sh/hook"] == "pre-install,pre-upgrade", f"{document['kind']} migrate comes {annotations['helm.sh/hook']}")
        check("hook-succeeded" in annotations["helm.sh/hook-delete-policy"], f"{document['kind']} migrate stays")
    [job] = rendered.all("Job")
    check(container(job)["args"] == ["migrate"] and container(job)["image"].split("/")[-1].startswith("fairline:"), "the Job does not migrate")
    address, *rest = container(job)["env"]
    check(rest == [] and "volumes" not in pod(job), f"the Job has {rest}")
    check(address["name"] == "FAIRLINE_POSTGRES_URL" and "secretKeyRef" in address["valueFrom"], "the Job has more settings than the database's URL")
    check(int(rendered.one("NetworkPolicy", "migrate")["metadata"]["annotations"]["helm.sh/hook-weight"]) < 0, "the policy is created after the Job")


def policies_keep_apart(rendered, redis, postgres, world, traces, rehearsal, shops):
    reached = {
        "waiting-room": redis | traces,
        "admission-controller": redis | postgres | traces | rehearsal,
        "checkout": redis | postgres | traces | world | {"http"},
        "migrate": postgres,
    }
    for service, ports in reached.items():
        policy = rendered.one("NetworkPolicy", service)["spec"]
        check(policy["policyTypes"] == ["Ingress", "Egress"], f"{service}: the policy has the types {policy['policyTypes']}")
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
        check(selects(policy["podSelector"]["matchLabels"], workload), f"the policy of {service} does not select its pods")
        check([rule["ports"] for rule in policy["ingress"]] in ([], [[{"port": "http", "protocol": "TCP"}]]), f"{service} has other open ports")
    # The only call between services: checkout fetches the public keys.
    jwks, keys = rendered.one("NetworkPolicy", "checkout")["spec"]["egress"][-1]["to"], rendered.one("Deployment", "admission-controller")
    check(all(selects(peer["podSelector"]["matchLabels"], keys) for peer in jwks), "checkout does not reach the public keys")
    peers = [peer for rule in rendered.one("NetworkPolicy", "admission-controller")["spec"]["ingress"] for peer in rule["from"] if "podSelector" in peer]
    check([selects(peer["podSelector"]["matchLabels"], rendered.one("Deployment", "checkout")) for peer in peers] == [True], "other pods reach the controller")


def everything_is_set(rendered):
    # Values reach their places, and later values override earlier ones.
    env = rendered.env("waiting-room")
    annotations = {name: env[name]["value"] for name in ["FAIRLINE_SOCKETS_MAX", "FAIRLINE_JOIN_BURST", "FAIRLINE_JOIN_RATE_PER_S", "FAIRLINE_GRACE_S"]}
    check(list(annotations.values()) == ["1000000", "2000000", "2.5", "90"], f"numbers are written as {annotations}")
    listen = {service: rendered.env(service)["FAIRLINE_LISTEN"]["value"] for service in SERVICES}
    check(set(listen.values()) == {"[::]:8080"}, f"in a cluster of IPv6 the services listen at {listen}")
    controller = rendered.env("admission-controller")
    check(controller["FAIRLINE_SIGNING_KEY_FILE"]["value"] == "/keys/new.pem,/keys/old.pem", "keys are in another order")
    check(controller["FAIRLINE_REHEARSAL_PROGRAM"]["value"] == "/fairline", "rehearsals are disabled")
    check(controller["FAIRLINE_MEDIA_URL"]["value"] == "s3://media/shop", "images are disabled")
    for service in SERVICES:
        deployment = rendered.one("Deployment", service)
        from_secret = container(deployment).get("envFrom", [])
        mounted = [mount["mountPath"] for mount in container(deployment)["volumeMounts"] if mount["name"] == "media"]
        claims = [volume["persistentVolumeClaim"]["claimName"] for volume in pod(deployment)["volumes"] if volume["name"] == "media"]
        expected = ([{"secretRef": {"name": "media"}}], ["/media"], ["media"]) if service == "admission-controller" else ([], [], [])
        check((from_secret, mounted, claims) == expected, f"{service} stores images with {from_secret} at {mounted} in {claims}")
    rehearsing = "FROM admission-controller AS rehearsing-controller\nCOPY --from=build /built/fairline /fairline\n"
    check(rehearsing in pathlib.Path("Dockerfile").read_text(), "the rehearsing controller's image lacks the program `fairline`")
    for service, table in yaml.safe_load((CHART / "files/settings.yaml").read_text()).items():
        check(table["optional"].keys() <= rendered.env(service).keys(), f"{service} lacks {table['optional'].keys() - rendered.env(service).keys()}")
    for workload in rendered.all("Deployment") + rendered.all("Job"):
        [believed] = [variable["value"] for variable in container(workload)["env"] if variable["name"] == "SSL_CERT_FILE"]
        mounts = {mount["mountPath"]: mount["name"] for mount in container(workload)["volumeMounts"]}
        volumes = {volume["name"]: volume["secret"]["secretName"] for volume in pod(workload)["volumes"] if "secret" in volume}
        check(believed == "/authorities/bundle.pem" and volumes[mounts["/authorities"]] == "authorities", f"{workload['metadata']['name']} trusts {believed}")
    shop, console = rendered.one("Ingress", "fairline"), rendered.one("Ingress", "fairline-console")
    for ingress in [shop, console]:
        check(ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"] == "32k", "an annotation is duplicated")
        check(ingress["spec"]["tls"] == [{"hosts": ["sale.example.org"], "secretName": "sale-tls"}], "the Ingress has no TLS")
    closed = "nginx.ingress.kubernetes.io/whitelist-source-range"
    check(closed in console["metadata"]["annotations"] and closed not in shop["metadata"]["annotations"], "the restriction does not apply to the console alone")
    [rules], [monitor] = rendered.all("PrometheusRule"), rendered.all("ServiceMonitor")
    check(rules["spec"] == yaml.safe_load((CHART / "files/alerts.yaml").read_text()), "the alerts of the chart are not those that are tested")
    for service in SERVICES:
        it = rendered.one("Service", service)
        check(monitor["spec"]["selector"]["matchLabels"].items() <= it["metadata"]["labels"].items(), f"{service} is not scraped")
        check({endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= {port["name"] for port in it["spec"]["ports"]}, f"{service} has no such port")
    check(monitor["spec"]["targetLabels"] == ["app.kubernetes.io/component"], "the alerts' labels are not there")
    for document in [rules, monitor]:
        labels = document["metadata"]["labels"]
        check(labels["release"] == "prometheus" and labels["app.kubernetes.io/version"] == "ours", "labels are duplicated")
    [dashboard] = rendered.all("ConfigMap")
    check(json.loads(dashboard["data"]["fairline.json"]) == json.loads((CHART / "files/dashboard.json").read_text()), "the dashboard differs from files/dashboard.json")
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


def small_has_no_extras(rendered):
    for kind in ["HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "Job"]:
        check(not rendered.all(kind), f"small-values.yaml renders {kind}")
    check("FAIRLINE_PAGES_URL" not in rendered.env("checkout"), "checkout has an empty URL")
    check("FAIRLINE_MEDIA_URL" not in rendered.env("admission-controller"), "the controller has an empty URL of images")


def versions_run_side_by_side(canary, green, blue):
    shop = canary.one("Ingress", "fairline")
    annotations = shop["metadata"]["annotations"]
    check(annotations["nginx.ingress.kubernetes.io/canary"] == "true" and 0 < int(annotations["nginx.ingress.kubernetes.io/canary-weight"]) < 100, "the canary has no share")
    check(not canary.has("Ingress", "fairline-console"), "the canary has a console")
    blues = blue.all("Ingress")
    leads = {path["backend"]["service"]["name"] for ingress in blues for path in ingress["spec"]["rules"][0]["http"]["paths"]}
    check(leads == {f"green-{service}" for service in SERVICES}, f"blue leads to {leads}")
    check(not green.all("Ingress") and len(green.all("Deployment")) == 3, "green is not a full release without an Ingress")
    # A canary Ingress gets traffic only for the host and paths of the main Ingress.
    paths = {tuple(sorted(path["path"] for path in ingress["spec"]["rules"][0]["http"]["paths"])) for ingress in [shop, blue.one("Ingress", "fairline")]}
    check(len(paths) == 1, "the canary has other paths")


def settings_are_known():
    table = yaml.safe_load((CHART / "files/settings.yaml").read_text())
    secrets = yaml.safe_load((CHART / "values.yaml").read_text())["secrets"]
    check(table.keys() == SERVICES.keys(), f"settings.yaml has the services {table.keys()}")
    used = {at for entry in table.values() for at in [*entry["secrets"].values(), *entry["optional"].values()]} | {"signingKeys"}
    check(used == secrets.keys(), f"secrets that no service uses, or that values.yaml lacks: {used ^ secrets.keys()}")
    for service, folder in SERVICES.items():
        known, entry = settings_of(folder, *SHARED[service]), table[service]
        secret = {name for name, kind in known.items() if "Secret" in kind}
        check(len(known) > 10 and secret, f"the settings of {service} were not found")
        check(secret == set(entry["secrets"]) | set(entry["optional"]), f"{service}: from a Secret, and in settings.yaml: {secret ^ (set(entry['secrets']) | set(entry['optional']))}")
        others = entry["chart"] + entry["env"]
        check(known.keys() - secret == set(others), f"{service}: other settings, and in settings.yaml: {(known.keys() - secret) ^ set(others)}")
        check(len(others) == len(set(others)), f"settings.yaml names a setting of {service} twice")


def metrics_of(expression):
    """The metrics in an expression: its words without labels, their values, groups and functions."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"|\b(?:by|without|on)\s*\([^)]*\)", " ", expression)
    words = set(re.findall(r"[a-z_]{4,}", bare)) - FUNCTIONS
    return {re.sub(r"_(bucket|sum|count)$", "", word) for word in words}


def shows_known_metrics():
    known = metrics_emitted()
    check(len(known) > 30, f"only {len(known)} metrics were found in the sources")
    dashboard = json.loads((CHART / "files/dashboard.json").read_text())
    shown = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]
    rules = [rule for group in yaml.safe_load((CHART / "files/alerts.yaml").read_text())["groups"] for rule in group["rules"]]
    shown += [(rule["alert"], rule["expr"]) for rule in rules]
    for title, expression in shown:
        for metric in metrics_of(expression):
            check(metric in known, f"no service emits {metric}, which `{title}` shows")
    ids = [panel["id"] for panel in dashboard["panels"]]
    check(len(ids) == len(set(ids)), "two panels of the dashboard have the same id")
    explained = re.findall(r"^\| (Fairline\w+) \|", OPERATIONS.read_text(), re.MULTILINE)
    check(sorted(explained) == sorted(rule["alert"] for rule in rules), f"alerts, and those that docs/operations.md explains: {set(explained) ^ {rule['alert'] for rule in rules}}")
    tested = yaml.safe_load((CHART / "ci/alerts_test.yaml").read_text())["tests"]
    cases = [(case["alertname"], bool(case["exp_alerts"])) for test in tested for case in test["alert_rule_test"]]
    for rule in rules:
        check({(rule["alert"], True), (rule["alert"], False)} <= set(cases), f"{rule['alert']} is not tested both to fire and to be quiet")
    return len(shown)


def operations_page_works():
    """The values in docs/operations.md render, and its commands create the Secrets that they name."""
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
    check(named <= made, f"docs/operations.md names Secrets that it does not create: {named - made}")
    pushed = set(re.findall(r"--tag (\S+)/\$service:(\S+)", text))
    images = {tuple(container(workload)["image"].rsplit("/", 1)) for workload in rendered.all("Deployment") + rendered.all("Job")}
    check({(folder, image.split(":")[1]) for folder, image in images} == pushed, f"docs/operations.md pushes {pushed}, and the chart wants {images}")
    for chapter in re.findall(r"`(helm/fairline/[^`]+)`", text):
        check(pathlib.Path(chapter).exists(), f"docs/operations.md names {chapter}, which does not exist")


def readme_lists_the_values():
    check(chart_readme.README.read_text() == chart_readme.generated(), f"{chart_readme.README} is stale: `make generate` renews it")


def release_names_its_images():
    """The release replaces the chart's default repository, and builds an image of each service."""
    release = pathlib.Path(".github/workflows/release.yml").read_text()
    [default] = re.findall(r"sed -i \"s\|\^(.*?)\$\|", release)
    check(f"\n{default}\n" in (CHART / "values.yaml").read_text(), f"values.yaml has no line `{default}`, which the release changes")
    [baked] = re.findall(r"service = (\[.*?\])", pathlib.Path("docker-bake.hcl").read_text())
    [tagged] = re.findall(r"for service in (.*?); do\n\s+image=", release)
    stages = re.findall(r"^FROM (?:service|admission-controller) AS (\S+)$", pathlib.Path("Dockerfile").read_text(), re.MULTILINE)
    check(json.loads(baked) == tagged.split() == stages, f"the images are {stages}; baked: {baked}, released: {tagged}")


def rejects_bad_values():
    refused = sorted(REFUSED.glob("*.yaml"))
    for values in refused:
        first, *_ = values.read_text().splitlines()
        sentence = first.removeprefix("# error: ")
        tried = template(VALUES / "least-values.yaml", values)
        check(tried.returncode != 0, f"{values} is accepted")
        check(sentence in tried.stderr, f"{values} is rejected with: {tried.stderr}")
    return len(refused)


def main():
    shown = shows_known_metrics()
    settings_are_known()
    operations_page_works()
    readme_lists_the_values()
    release_names_its_images()
    outcome = helm("lint", "--strict", str(CHART), "--values", str(VALUES / "least-values.yaml"))
    check(outcome.returncode == 0, f"helm lint: {outcome.stdout}{outcome.stderr}")
    rendered = {values.stem.removesuffix("-values"): Rendered(VALUES / "least-values.yaml", values) for values in sorted(VALUES.glob("*-values.yaml"))}
    for each in rendered.values():
        is_valid(each)
        pods_are_confined(each)
        services_have_their_settings(each)
        pods_start_and_stop_gracefully(each)
        keys_fit(each)
    least, everything = rendered["least"], rendered["everything"]
    routes_are_disjoint(least)
    least_has_the_defaults(least)
    migrations_come_first(least)
    policies_keep_apart(least, {6379}, {5432}, {443, 465, 587}, set(), set(), set())
    policies_keep_apart(everything, {6379, 26379}, {5432}, {443, 587, 8443}, {4318}, {8443, 9000}, {"shop-backend"})
    everything_is_set(everything)
    worker_is_apart(everything, least)
    small_has_no_extras(rendered["small"])
    versions_run_side_by_side(rendered["canary"], rendered["green"], rendered["blue-leads-to-green"])
    refused = rejects_bad_values()
    for failure in failures:
        print(f"✗ {failure}")
    objects = sum(len(each.objects) for each in rendered.values())
    print(f"{'✗' if failures else '✓'} the chart: {objects} objects rendered and validated, {refused} bad values rejected, {shown} queries of known metrics")
    sys.exit(bool(failures))


main()
