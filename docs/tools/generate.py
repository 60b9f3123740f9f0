"""Writes the pages that are made from the code: configuration.md, commands.md, errors.md and tutorial.md of docs/.

Each begins with a text of its own in `heads/`. `--check` only compares, for CI. All extras must be installed, else a
backend's settings are not known.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from leicos_jobs.backends import registry
from leicos_jobs.backends.base import Kind
from leicos_jobs.cli.main import GROUPS, cli
from leicos_jobs.core.error_codes import entries
from leicos_jobs.inspect.tutorial import steps_for
from leicos_jobs.run.config import RunConfig, load_config
from leicos_jobs.run.schema import settings_of

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
SECTION_OF: dict[Kind, str] = {"generate": "generate.settings", "train": "idm.settings",
              "label": "label.settings", "replay": "replay.settings", "critic": "gate.critic.settings"}  # fmt: skip


def configuration() -> str:
    """All sections of the configuration, then the settings of every backend."""
    parts = []
    for name, field in RunConfig.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            parts.append(f"### {name}\n\n{_sentence(field.annotation)}\n\n{table(field.annotation, name)}")
    plain = {name for name, field in RunConfig.model_fields.items() if not _is_section(field.annotation)}
    parts.insert(0, "## The sections\n\n" + table(RunConfig, "", only=plain))
    parts.append("## Settings of the backends\n")
    for kind in SECTION_OF:
        for name in registry.installed(kind):
            model = settings_of(kind, name)
            if model is None:
                raise SystemExit(f"{kind} {name}: install its extra first (make installs all)")
            where = SECTION_OF[kind]  # post_train's are in generate's
            text = table(model, "") if model.model_fields else "It has none.\n"
            parts.append(f"### {kind}: {name}\n\nUnder `{where}`.\n\n{text}")
    return "\n".join(parts)


def table(model: type[BaseModel], path: str, only: set[str] | None = None) -> str:
    """One row per field of a model and of the models in it."""
    head = "| field | type | default | what it is |\n|---|---|---|---|\n"
    return head + "".join(rows(model, path, only))


def rows(model: type[BaseModel], path: str, only: set[str] | None = None) -> Iterator[str]:
    """Rows of the table, nested models after the field that holds them."""
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        if only is not None and name not in only:
            continue
        where = f"{path}.{name}" if path else name
        shown = schema["properties"][name]
        default = "required" if field.is_required() else _code(_plain(field.get_default(call_default_factory=True)))
        text = " ".join((field.description or shown.get("description") or "").split())
        yield f"| `{where}` | {_cell(_type(shown, schema))} | {default} | {_cell(text)} |\n"
        inner = next((part for part in _parts(field.annotation) if _is_section(part)), None)
        if inner is not None:
            yield from rows(inner, where)


def _parts(annotation: Any) -> list[Any]:
    return [annotation, *getattr(annotation, "__args__", ())]


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _code(value: Any) -> str:
    text = json.dumps(value, default=str)
    if isinstance(value, str) and len(text) > 60:
        text = f"{text[:50]} ..."
    return "unset" if value is None else f"`{text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _sentence(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _type(shown: dict[str, Any], schema: dict[str, Any]) -> str:
    """A field's type in a few words, with its bounds."""
    if "$ref" in shown:
        return _type(schema["$defs"][shown["$ref"].rpartition("/")[2]], schema)
    if "anyOf" in shown:
        known = [_type(part, schema) for part in shown["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(known))
    if "enum" in shown:
        return ", ".join(f"`{value}`" for value in shown["enum"])
    if "const" in shown:
        return f"`{shown['const']}`"
    if shown.get("type") == "array":
        return f"list of {_type(shown.get('items', {}), schema)}"
    names = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false",
             "object": "mapping"}  # fmt: skip
    bounds = [f"{word} {shown[key]:g}" for key, word in
              (("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"),
               ("exclusiveMaximum", "below"), ("multipleOf", "a multiple of")) if key in shown]  # fmt: skip
    return ", ".join([names.get(shown.get("type", ""), "any value"), *bounds])


def commands() -> str:
    """The help of every command, by whose it is."""
    parts = []
    for title, names in GROUPS.items():
        parts.append(f"## {title}\n")
        for name in names:
            command = cli.get_command(click.Context(cli), name)
            assert command is not None
            parts += _help(command, f"leicos {name}", 3)
    return "\n".join(parts)


def _help(command: click.Command, name: str, depth: int) -> Iterator[str]:
    context = click.Context(command, info_name=name, max_content_width=100, terminal_width=100)
    yield f"{'#' * depth} {name}\n\n```text\n{command.get_help(context)}\n```\n"
    for inner, below in sorted(getattr(command, "commands", {}).items()):
        yield from _help(below, f"{name} {inner}", depth + 1)


def errors() -> str:
    """Every code with what, where, why and fix."""
    parts = []
    for code, entry in entries().items():
        exits = " or ".join(f"{int(exit_)}" for exit_ in entry.exits)
        parts.append(
            f"### {code}\n\nExit code {exits}. {entry.what}\n\n- **Where:** {entry.where}\n- **Why:** {entry.why}\n"
            f"- **Fix:** {_cell(entry.fix)}\n"
        )
    return "\n".join(parts)


def tutorial() -> str:
    """Each step of the tutorial beside what does it here, for examples/tutorial.yaml."""
    parts = []
    for step in steps_for(load_config(ROOT / "examples" / "tutorial.yaml")):
        reasons = "\n".join(f"- {reason}" for reason in step.why)
        theirs, ours = ("\n".join(line.replace(str(ROOT) + "/examples/", "") for line in lines)
                        for lines in (step.theirs, step.ours))  # fmt: skip
        parts.append(
            f"## {step.title}\n\nThe tutorial:\n\n```text\n{theirs}\n```\n\nleicos:\n\n```text\n{ours}\n```\n\n"
            f"What differs, and why:\n\n{reasons}\n"
        )
    return "\n".join(parts)


PAGES = {"configuration": configuration, "commands": commands, "errors": errors, "tutorial": tutorial}


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page differs")
    options = parser.parse_args(arguments)
    stale = []
    for name, make in PAGES.items():
        head = (DOCS / "tools" / "heads" / f"{name}.txt").read_text()
        text = f"<!-- Made by docs/tools/generate.py: `make render` -->\n{head}\n{make()}"
        page = DOCS / f"{name}.md"
        if not options.check:
            page.write_text(text)
        elif not page.is_file() or page.read_text() != text:
            stale.append(page.name)
    if stale:
        print(f"docs: {', '.join(stale)} not up to date: run `python docs/tools/generate.py`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
