"""Writes helm/leicos/README.md: README.head.md, then every value with its default and its description.

Descriptions stand in values.schema.json, defaults in values.yaml; Helm checks the one, installs the other. `--check`
only compares, for CI.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent / "leicos"
README = CHART / "README.md"
MARK = "<!-- Below: made by `python helm/generate_readme.py` from values.yaml and values.schema.json. -->"


def resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema node with its reference followed; what stands beside the reference wins."""
    if "$ref" not in node:
        return node
    found = schema
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return {**found, **{name: value for name, value in node.items() if name != "$ref"}}


def rows(path: str, node: dict[str, Any], default: Any, schema: dict[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Path, default and description of every value below a node; an object that is not a value gives no row itself."""
    node = resolve(node, schema)
    children = node.get("properties")
    if children is None or default in (None, {}):
        yield path, node.get("default", default), str(node.get("description", ""))
    if children is None:
        items = resolve(node.get("items", {}), schema)
        for name, child in items.get("properties", {}).items():
            yield from rows(f"{path}[].{name}", child, None, schema)
        return
    for name, child in children.items():
        below = default.get(name) if isinstance(default, dict) else None
        yield from rows(f"{path}.{name}" if path else name, child, below, schema)


def table(found: list[tuple[str, Any, str]]) -> str:
    """A Markdown table."""
    lines = ["| value | default | what it is |", "|---|---|---|"]
    for path, default, text in found:
        shown = "" if default is None else f"`{json.dumps(default)}`"
        lines.append(f"| `{path}` | {shown} | {text} |".replace("  ", " "))
    return "\n".join(lines) + "\n"


def render() -> str:
    """The whole README."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    parts = [(CHART / "README.head.md").read_text(), MARK + "\n\n## Values\n"]
    for name, node in schema["properties"].items():
        if name == "global":
            continue
        node = resolve(node, schema)
        parts.append(f"\n### {name}\n{node['description']}\n\n")
        if name == "pools":
            parts.append(pools(node, values["pools"], schema))
        else:
            parts.append(table(list(rows(name, node, values[name], schema))))
    return "".join(parts)


def pools(node: dict[str, Any], values: dict[str, Any], schema: dict[str, Any]) -> str:
    """One table for the values that all pools share, one for what their defaults are."""
    pool = schema["definitions"]["pool"]
    shared = [
        row
        for name, child in pool["properties"].items()
        for row in rows(f"pools.POOL.{name}", {**resolve(child, schema), **child}, child.get("default"), schema)
    ]
    lines = ["| pool | for | asks for | limits | scratch | at once |", "|---|---|---|---|---|---|"]
    for name, child in node["properties"].items():
        own = values[name]
        asked = ", ".join(f"{value} {key}" for key, value in own["resources"]["requests"].items())
        limits = ", ".join(f"{value} {key}" for key, value in own["resources"]["limits"].items())
        row = [f"`{name}`", child["description"], asked, limits, own["scratch"]["size"], str(own["concurrency"])]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n\n" + table(shared)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file differs")
    options = parser.parse_args(arguments)
    text = render()
    if not options.check:
        README.write_text(text)
        return 0
    if not README.is_file() or README.read_text() != text:
        print(f"{README} is not up to date: run `python helm/generate_readme.py`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
