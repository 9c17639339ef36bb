"""Tests compose.yaml without an engine: compose parses it, each variable is a setting of its service, each target and file exists, and
nginx and Prometheus accept their configurations. `scripts/test-deploy.sh` runs it."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

from fairline_sources import EVERY_SERVICE, SERVICES, SHARED, answered_by, rust, settings_of

# The folder with the settings of each program.
SETTINGS = {**SERVICES, "rehearsing-controller": SERVICES["admission-controller"], "sandbox-gateway": "tools/sandbox-gateway/src", "fairline": "cli/src"}

failures = []


def check(holds, sentence):
    if not holds:
        failures.append(sentence)


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def settings(target):
    service = next((service for service, folder in SERVICES.items() if folder == SETTINGS[target]), None)
    return settings_of(SETTINGS[target], *SHARED.get(service, [EVERY_SERVICE]))


def required_of(target):
    """The settings that a program requires: no Option, no list, no default."""
    source = rust(SETTINGS[target])
    has_default = set(re.findall(r'env = "(FAIRLINE_[A-Z_]+)", default_value', source))
    return {name for name, kind in settings_of(SETTINGS[target]).items() if not kind.startswith(("Option", "Vec")) and name not in has_default}


def reads_as_compose(folder):
    keys = run(str(folder / "compose/keys.sh"))
    check(keys.returncode == 0, f"compose/keys.sh: {keys.stderr}")
    kept = {file: file.read_text() for file in (folder / "compose/secrets").iterdir()}
    run(str(folder / "compose/keys.sh"))
    check(all(file.read_text() == text for file, text in kept.items()), "compose/keys.sh changed the keys when run again")
    check(all(file.stat().st_mode & 0o077 == 0 for file in kept if file.suffix == ".env"), "other users may read the passwords")
    check([file.name for file in (folder / "compose").glob("secrets*")] == ["secrets"], "compose/keys.sh leaves temporary files")
    # The plugin if installed; otherwise Debian's package, which parses secrets, merges and
    # variables alike.
    has_plugin = shutil.which("docker") and run("docker", "compose", "version").returncode == 0
    compose = ["docker", "compose"] if has_plugin else ["docker-compose"]
    config = run(*compose, "--file", str(folder / "compose.yaml"), "config")
    check(config.returncode == 0, f"{' '.join(compose)} config: {config.stderr}")
    return yaml.safe_load(config.stdout) or {"services": {}}


def services_are_configured(config):
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", pathlib.Path("Dockerfile").read_text(), re.MULTILINE))
    for name, service in config["services"].items():
        target = service.get("build", {}).get("target") if isinstance(service.get("build"), dict) else None
        if not target:
            check(re.search(r":v?\d", service["image"]), f"{name} has no version: {service['image']}")
            continue
        check(target in stages, f"the Dockerfile has no stage {target}")
        given = {variable for variable in service.get("environment", {}) if variable.startswith("FAIRLINE_")}
        check(given <= settings(target).keys(), f"{name} does not know {given - settings(target).keys()}")
        if target != "fairline":
            check(required_of(target) <= given | {"FAIRLINE_LISTEN"}, f"{name} lacks {required_of(target) - given}")
        if name in SERVICES:
            check(service["healthcheck"]["test"] == ["CMD", f"/{name}", "--healthy"], f"{name} has no health check")
        check(service["read_only"] and service["cap_drop"] == ["ALL"], f"{name} is not confined")
    check("FAIRLINE_POSTGRES_URL" not in config["services"]["waiting-room"]["environment"], "the waiting room has the URL of Postgres")
    networks = {name: set(service["networks"]) for name, service in config["services"].items()}
    check(not networks["waiting-room"] & networks["postgres"], "the waiting room reaches Postgres")
    for one, other in [("waiting-room", "redis"), ("checkout", "redis"), ("checkout", "postgres"), ("checkout", "sandbox-gateway"), ("checkout", "admission-controller"),
                       ("admission-controller", "redis"), ("admission-controller", "postgres"), ("admission-controller", "front"), ("migrate", "postgres"), ("grafana", "prometheus"),
                       *((service, peer) for service in SERVICES for peer in ["front", "prometheus"])]:
        check(networks[one] & networks[other], f"{one} does not reach {other}")
    for name, service in config["services"].items():
        for volume in service.get("volumes", []):
            source = (volume if isinstance(volume, str) else volume.get("source", "")).split(":")[0]
            check(not source.startswith("/") or os.path.exists(source), f"{name} mounts {source}, which does not exist")


def nginx_routes_each_path(folder):
    """nginx routes each path to the service that serves it, and its routes equal the chart's."""
    conf = (folder / "compose/nginx.conf").read_text()
    routes = yaml.safe_load(pathlib.Path("helm/fairline/files/routes.yaml").read_text())
    charts = {(path, service) for part in routes.values() for service, paths in part.items() for path in paths}
    upstreams = dict(re.findall(r"set \$(\w+) http://([a-z-]+):8080;", conf))
    check(sorted(upstreams.values()) == sorted(SERVICES), f"nginx has the upstreams {upstreams}")
    ours = {(path, upstreams[name]) for path, name in re.findall(r"location ~ \^(\S+) \{ (?:client_max_body_size \w+; )?proxy_pass \$(\w+); \}", conf)}
    check(charts == ours, f"nginx and the chart's Ingress route differently: {charts ^ ours}")
    # nginx returns the name of the service instead of proxying.
    conf = re.sub(r"proxy_pass \$(\w+);", lambda found: f'return 200 "{upstreams[found[1]]}";', conf)
    conf = conf.replace("pid /tmp/nginx.pid", f"pid {folder}/nginx.pid").replace("listen 8080", f"listen unix:{folder}/socket")
    conf = conf.replace("http {", "http { " + " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]), 1)
    (folder / "nginx.conf").write_text(conf)
    nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    arguments = [nginx, "-c", str(folder / "nginx.conf"), "-g", f"daemon off; error_log {folder}/error.log;"]
    tested = run(*arguments, "-t")
    check(tested.returncode == 0, f"nginx: {tested.stderr}")
    started = subprocess.Popen(arguments)
    try:
        for service in SERVICES:
            for path in answered_by(service):
                response = run("curl", "--silent", "--retry", "20", "--retry-all-errors", "--retry-delay", "1", "--unix-socket", f"{folder}/socket", f"http://shop{path}")
                inside = path.startswith(("/inventory", "/api/admissions"))
                check(response.stdout == service or (inside and "404" in response.stdout), f"nginx routes {path} of {service} to {response.stdout}{response.stderr}")
    finally:
        started.terminate()
        started.wait()


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        folder.chmod(0o711)
        shutil.copy("compose.yaml", folder)
        shutil.copytree("compose", folder / "compose", ignore=shutil.ignore_patterns("secrets"))
        shutil.copytree("helm", folder / "helm")
        config = reads_as_compose(folder)
        services_are_configured(config)
        nginx_routes_each_path(folder)
        prometheus = folder / "compose/prometheus.yml"
        shutil.copy(folder / "helm/fairline/files/alerts.yaml", folder / "compose/alerts.yaml")
        checked = run("promtool", "check", "config", str(prometheus))
        check(checked.returncode == 0, f"promtool: {checked.stdout}{checked.stderr}")
    for failure in failures:
        print(f"✗ {failure}")
    print(f"{'✗' if failures else '✓'} compose: {len(config['services'])} services")
    sys.exit(bool(failures))


main()
