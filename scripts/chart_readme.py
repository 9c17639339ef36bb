"""Generates the table of values in the chart's README from the `# --` comments in values.yaml, the convention of helm-docs.
`python3 scripts/chart_readme.py` writes it; `scripts/test_chart.py` fails when it is stale."""

import json
import pathlib

import yaml

VALUES = pathlib.Path("helm/fairline/values.yaml")
README = pathlib.Path("helm/fairline/README.md")
# What follows is generated.
HEADING = "## Values\n"


def plain(node):
    """The value of a YAML node."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    return yaml.safe_load(yaml.serialize(node))


def description(lines, key):
    """The comment above a key, if it begins with `# --`."""
    text = []
    for line in reversed(lines[: key.start_mark.line]):
        line = line.strip()
        if not line.startswith("#"):
            return None
        text.insert(0, line.removeprefix("#").strip())
        if line.startswith("# --"):
            return " ".join(text).removeprefix("--").strip()
    return None


def rows(lines, node, path=""):
    """A row for each described value. A value without a description needs one, or described values inside it."""
    for key, value in node.value:
        name, text = f"{path}{key.value}", description(lines, key)
        nested = isinstance(value, yaml.MappingNode) and not value.flow_style
        if text:
            yield f"| `{name}` | `{json.dumps(plain(value))}` | {text} |"
        elif nested and value.value:
            yield from rows(lines, value, f"{name}.")
        else:
            raise SystemExit(f"{VALUES}: `{name}` has no description: begin the comment above it with `# --`")


def generated():
    """The README with the values of today."""
    text = VALUES.read_text()
    table = "\n".join(rows(text.split("\n"), yaml.compose(text)))
    before, heading, _ = README.read_text().partition(HEADING)
    note = "Generated from the comments in [values.yaml](values.yaml): change them there, and run `make generate`."
    return f"{before}{heading}\n{note}\n\n| value | default | meaning |\n|---|---|---|\n{table}\n"


if __name__ == "__main__":
    README.write_text(generated())
