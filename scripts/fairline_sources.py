"""Reads from the sources, for the deployment tests: each program's settings, paths and metrics."""

import pathlib
import re

SERVICES = {"waiting-room": "waiting-room/src", "admission-controller": "admission-controller/src", "checkout": "checkout/src"}
EVERY_SERVICE = "crates/server/src"
# The shared crates with settings and metrics of a service.
SHARED = {
    "waiting-room": [EVERY_SERVICE],
    "admission-controller": [EVERY_SERVICE, "crates/postgres/src"],
    "checkout": [
        EVERY_SERVICE, "crates/postgres/src", "crates/notification-channels/src", "crates/payment-gateway/src", "crates/redemption/src"
    ],
}


def rust(*folders):
    return "\n".join(file.read_text() for folder in folders for file in sorted(pathlib.Path(folder).rglob("*.rs")))


def settings_of(*folders):
    """The settings defined in these folders, by environment variable, with their types."""
    found = re.findall(r"#\[arg\((.*?)\)\]\s*(?:pub(?:\([a-z]+\))? )?[a-z_]+: ([^\n]+),\n", rust(*folders), re.DOTALL)
    named = ((re.search(r'env = "(FAIRLINE_[A-Z_0-9]+)"', attribute), kind) for attribute, kind in found)
    return {name[1]: kind for name, kind in named if name}


def answered_by(service):
    """The paths that a service serves, with a value in place of each parameter."""
    source = rust(SERVICES[service])
    paths = re.findall(r'\.route\(\s*"([^"]+)"', source) + re.findall(r'\bpath = "(/[^"]+)"', source)
    # Every service explains every problem; the proxy routes that to one of them.
    paths += ["/problems/x1"] if service == "waiting-room" else []
    return {re.sub(r"\{[^}]+\}", "x1", path) for path in paths}


def metrics_emitted():
    """The metrics that the services emit."""
    return set(re.findall(r'metrics::(?:counter|gauge|histogram)!\(\s*"([a-z_]+)"', rust(*SERVICES.values(), *SHARED["checkout"])))
