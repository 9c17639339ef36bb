"""Performs the Dockerfile's own steps where that can be done without an engine: in a copy of what it would be sent, with this machine's tools.

`make test` does all that is quick: the copies, the pages, who runs. `make image-steps` (`--all`) compiles the programs, too, and looks how
large the images would be."""

import fnmatch
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

SERVICES = ["waiting-room", "admission-controller", "checkout", "sandbox-gateway", "fairline"]
LIMIT_MB = 40
# gcr.io/distroless/base-nossl-debian12, without what a program brings: the C library, certificates,
# time zones.
BASE_MB = 15

failures = []


def check(holds, sentence):
    if not holds:
        failures.append(sentence)


def instructions(text):
    """The Dockerfile, instruction by instruction: (stage, keyword, the rest)."""
    lines = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    stage = None
    for line in filter(None, map(str.strip, lines)):
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            stage = rest.split(" AS ")[1]
        yield stage, keyword, rest


def sent(folder):
    """What an engine would be sent: this tree, but for what .dockerignore hides."""
    hidden = [line for line in pathlib.Path(".dockerignore").read_text().splitlines() if line]
    tracked = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        parts = [name, *(str(parent) for parent in pathlib.PurePath(name).parents)]
        if any(fnmatch.fnmatch(part, pattern.removeprefix("**/")) for part in parts for pattern in hidden) or not os.path.exists(name):
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(name, target)


def perform(context, root, steps, everything):
    """Does what each stage does, in a folder that stands for its file system."""
    workdir = "/"
    for stage, keyword, rest in steps:
        place = root / stage
        if keyword == "FROM":
            base = rest.split(" AS ")[0]
            place.mkdir()
            workdir = "/"
            if (root / base).is_dir():
                shutil.copytree(root / base, place, dirs_exist_ok=True)
        elif keyword == "WORKDIR":
            workdir = rest
            (place / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif keyword == "COPY":
            *sources, target = [word for word in shlex.split(rest) if not word.startswith("--")]
            origin = re.search(r"--from=(\S+)", rest)
            where = root / origin[1] if origin else context
            destination = place / os.path.join(workdir, target).lstrip("/")
            for source in sources:
                source_path = where / source.lstrip("/")
                if not source_path.exists():
                    check(origin and origin[1] == "build" and not everything, f"{stage}: COPY {source}: there is no such file")
                elif source_path.is_dir():
                    shutil.copytree(source_path, destination, dirs_exist_ok=True)
                else:
                    destination.mkdir(parents=True, exist_ok=True) if target.endswith("/") else destination.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(source_path, destination)
        elif keyword == "RUN" and (stage == "web" or everything):
            command = re.sub(r"^(--mount=\S+\s+)+", "", rest).replace("/built", str(place / "built"))
            print(f"… {stage}: {command[:90]}", flush=True)
            done = subprocess.run(["bash", "-c", command], cwd=place / workdir.lstrip("/"), capture_output=True, text=True)
            check(done.returncode == 0, f"{stage}: RUN {command[:60]}…: {done.stderr[-2000:]}")


def runs_as_unprivileged_user(steps):
    users, parents = {}, {}
    for stage, keyword, rest in steps:
        if keyword == "FROM":
            parents[stage] = rest.split(" AS ")[0]
        if keyword == "USER":
            users[stage] = rest
    for service in SERVICES:
        check(service in parents, f"there is no image of {service}")
        user = users.get(service) or users.get(parents.get(service, ""), "root")
        check(re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), f"{service} runs as {user}")


def starts_itself(steps):
    """Each image listens where the chart and compose look for it, and starts its own program; and the compiler is the tree's."""
    inherited = {stage: rest for stage, keyword, rest in steps if keyword == "ENV"}
    check("FAIRLINE_LISTEN=0.0.0.0:8080" in inherited.get("service", ""), f"the services listen at {inherited.get('service')}")
    for service in SERVICES:
        entry = [rest for stage, keyword, rest in steps if (stage, keyword) == (service, "ENTRYPOINT")]
        check(entry == [f'["/{service}"]'], f"the image of {service} starts {entry}")
        copies = [rest for stage, keyword, rest in steps if (stage, keyword) == (service, "COPY")]
        check(f"--from=build /built/{service} /{service}" in copies, f"the image of {service} has {copies}")
    wanted = re.search(r'channel = "([^"]+)"', pathlib.Path("rust-toolchain.toml").read_text())[1]
    [image] = [rest for stage, keyword, rest in steps if (stage, keyword) == ("build", "FROM")]
    check(image.startswith(f"rust:{wanted}-") and f"RUSTUP_TOOLCHAIN={wanted}" in inherited["build"], f"{image} is not Rust {wanted}")


def main():
    everything = "--all" in sys.argv
    steps = list(instructions(pathlib.Path("Dockerfile").read_text()))
    runs_as_unprivileged_user(steps)
    starts_itself(steps)
    with tempfile.TemporaryDirectory() as temporary:
        context, root = pathlib.Path(temporary, "context"), pathlib.Path(temporary, "stages")
        context.mkdir()
        root.mkdir()
        sent(context)
        perform(context, root, steps, everything)
        check((root / "build/fairline/web/dist/manifest.json").exists(), "the pages are not where the programs are built")
        check((root / "build/fairline/migrations").is_dir(), "the migrations are not where the programs are built")
        for service in SERVICES if everything else []:
            program = root / service / service
            if program.exists():
                size = program.stat().st_size / 1e6
                check(size + BASE_MB < LIMIT_MB, f"the image of {service} is {size + BASE_MB:.0f} MB")
                print(f"  {service:<22} {size:5.1f} MB, with its base about {size + BASE_MB:.0f} MB")
            else:
                check(False, f"{service} was not built")
    for failure in failures:
        print(f"✗ {failure}")
    print(f"{'✗' if failures else '✓'} the Dockerfile: {len(steps)} instructions, {'all' if everything else 'all but the compiler’s'} performed")
    sys.exit(bool(failures))


main()
