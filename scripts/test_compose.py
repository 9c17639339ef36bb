"""Tests compose.yaml without an engine: compose reads it, every variable is one that its service knows, every target and file is there, and
nginx and Prometheus take their settings. `scripts/test-deploy.sh` runs it."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

# Where the settings of each program stand.
SETTINGS = {
    "waiting-room": ["waiting-room/src"],
    "admission-controller": ["admission-controller/src"],
    "checkout": ["checkout/src"],
    "sandbox-gateway": ["crates/sandbox-gateway/src"],
    "fairline": ["crates/cli/src"],
}

failures = []


def check(holds, sentence):
    if not holds:
        failures.append(sentence)


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def known_to(target):
    files = [file for folder in SETTINGS[target] + ["crates/service/src"] for file in pathlib.Path(folder).rglob("*.rs")]
    return set(re.findall(r'env = "(FAIRLINE_[A-Z_]+)"', "".join(file.read_text() for file in files)))


def required_of(target):
    """What a program cannot start without: settings that are no Option, no list, and have no default."""
    found = set()
    for folder in SETTINGS[target]:
        for file in pathlib.Path(folder).rglob("*.rs"):
            for attribute, kind in re.findall(r"#\[arg\(([^\]]*)\)\]\s*pub(?:\([a-z]+\))? [a-z_]+: ([^,]+),", file.read_text()):
                name = re.search(r'env = "(FAIRLINE_[A-Z_]+)"', attribute)
                if name and "default_value" not in attribute and not kind.startswith(("Option", "Vec")):
                    found.add(name[1])
    return found


def reads_as_compose(folder):
    # Compose of Debian's package reads secrets, merges and variables as the plugin does.
    keys = run(str(folder / "compose/keys.sh"))
    check(keys.returncode == 0, f"compose/keys.sh: {keys.stderr}")
    kept = {file: file.read_text() for file in (folder / "compose/secrets").iterdir()}
    run(str(folder / "compose/keys.sh"))
    check(all(file.read_text() == text for file, text in kept.items()), "compose/keys.sh made other keys the second time")
    check(all(file.stat().st_mode & 0o077 == 0 for file in kept if file.suffix == ".env"), "others may read the passwords")
    config = run("docker-compose", "--file", str(folder / "compose.yaml"), "config")
    check(config.returncode == 0, f"docker-compose config: {config.stderr}")
    return yaml.safe_load(config.stdout) or {"services": {}}


def services_are_as_they_must_be(config):
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", pathlib.Path("Dockerfile").read_text(), re.MULTILINE))
    for name, service in config["services"].items():
        target = service.get("build", {}).get("target") if isinstance(service.get("build"), dict) else None
        if target is None:
            check(re.search(r":v?\d", service["image"]), f"{name} has no version: {service['image']}")
            continue
        check(target in stages, f"the Dockerfile has no stage {target}")
        given = {variable for variable in service.get("environment", {}) if variable.startswith("FAIRLINE_")}
        check(given <= known_to(target), f"{name} does not know {given - known_to(target)}")
        if target != "fairline":
            check(required_of(target) <= given | {"FAIRLINE_LISTEN"}, f"{name} lacks {required_of(target) - given}")
        check(service["read_only"] and service["cap_drop"] == ["ALL"], f"{name} is not confined")
    check("FAIRLINE_POSTGRES_URL" not in config["services"]["waiting-room"]["environment"], "the waiting room knows Postgres")
    for name, service in config["services"].items():
        for volume in service.get("volumes", []):
            source = (volume if isinstance(volume, str) else volume.get("source", "")).split(":")[0]
            check(not source.startswith("/") or os.path.exists(source), f"{name} mounts {source}, which is not there")


def nginx_takes_its_settings(folder):
    conf = (folder / "compose/nginx.conf").read_text()
    hosts = set(re.findall(r"proxy_pass http://([a-z-]+):8080", conf))
    check(hosts == {"waiting-room", "admission-controller", "checkout"}, f"nginx knows {hosts}")
    # The names are compose's own.
    for host in hosts:
        conf = conf.replace(f"http://{host}:", "http://127.0.0.1:")
    conf = conf.replace("pid /tmp/nginx.pid", f"pid {folder}/nginx.pid").replace("listen 8080", f"listen unix:{folder}/socket")
    (folder / "nginx.conf").write_text(conf)
    tested = run("nginx", "-t", "-c", str(folder / "nginx.conf"), "-g", f"error_log {folder}/error.log;", env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
    check(tested.returncode == 0, f"nginx: {tested.stderr}")
    ingress = pathlib.Path("helm/fairline/templates/ingress.yaml").read_text()
    routes = set(re.findall(r'\(list "([^"]+)" "([a-z-]+)"\)', ingress))
    ours = set()
    for kind, path, host in re.findall(r"location (~|=) (\S+) \{ proxy_pass http://([a-z-]+):", (folder / "compose/nginx.conf").read_text()):
        ours.add((path.removeprefix("^") if kind == "~" else path + "$", host))
    check(routes == ours, f"nginx and the chart's Ingress route differently: {routes ^ ours}")


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        folder.chmod(0o711)
        shutil.copy("compose.yaml", folder)
        shutil.copytree("compose", folder / "compose", ignore=shutil.ignore_patterns("secrets"))
        shutil.copytree("helm", folder / "helm")
        config = reads_as_compose(folder)
        services_are_as_they_must_be(config)
        nginx_takes_its_settings(folder)
        prometheus = folder / "compose/prometheus.yml"
        shutil.copy(folder / "helm/fairline/alerts.yaml", folder / "compose/alerts.yaml")
        checked = run("promtool", "check", "config", str(prometheus))
        check(checked.returncode == 0, f"promtool: {checked.stdout}{checked.stderr}")
    for failure in failures:
        print(f"✗ {failure}")
    print(f"{'✗' if failures else '✓'} compose: {len(config['services'])} services")
    sys.exit(bool(failures))


main()
