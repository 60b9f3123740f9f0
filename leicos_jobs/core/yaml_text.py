"""YAML that people wrote: what breaks its reader, or would never end, is an input error that names the file."""

from __future__ import annotations

from typing import Any

import yaml

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.text import decoded

MAX_BYTES = 2 << 20
"""Kubernetes takes objects of up to 1.5 MB; the reader takes half a minute for a megabyte."""
MAX_VALUES = 200_000
"""Values of a document once its aliases are written out: ten aliases of ten aliases of ... take no room in the text."""
MAX_DEPTH = 100
MAX_DIGITS = 400
"""Of a whole number; a float has 309 before its point."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that looks at a document as it is written before anything is made of it."""

    def construct_document(self, node: yaml.Node) -> Any:
        _require_bounded(node)
        return super().construct_document(node)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > MAX_DIGITS:
            raise yaml.constructor.ConstructorError(None, None, "a number of too many digits", node.start_mark)
        return super().construct_yaml_int(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def documents(text: str | bytes, where: str) -> list[Any]:
    """Parse every YAML (or JSON) document of a text; where: what an error calls it. Raises InputError."""
    if len(text) > MAX_BYTES:
        raise InputError(f"{where}: has {len(text)} bytes", fix=f"keep it under {MAX_BYTES}")
    if isinstance(text, bytes):
        text = decoded(text, where)
    try:
        return list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not YAML: {error}", fix="correct the syntax") from None
    except RecursionError:
        raise InputError(f"{where}: nested too deeply", fix="remove the brackets that are too many") from None
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        # a date or a number that cannot be one, a tag over a text that is none of its kind
        raise InputError(f"{where}: not YAML: {type(error).__name__}: {error}", fix="correct the value") from None


def mapping(text: str | bytes, where: str, fix: str) -> dict[Any, Any]:
    """Parse one YAML document that is a mapping; fix: what an error for anything else advises. Raises InputError."""
    found = documents(text, where)
    if len(found) != 1 or not isinstance(found[0], dict):
        raise InputError(f"{where}: is not one mapping of fields to values", fix=fix)
    return found[0]


def _require_bounded(top: yaml.Node) -> None:
    """Count values and depth of a document with its aliases written out, without writing them out."""
    sizes: dict[yaml.Node, tuple[int, int] | None] = {}
    """(values, depth) of a node that was counted, None of one that is being counted."""
    todo = [top]
    while todo:
        node = todo[-1]
        parts = _parts(node)
        if node not in sizes:
            sizes[node] = None
            if any(part in sizes and sizes[part] is None for part in parts):
                raise yaml.composer.ComposerError(None, None, "a value that holds itself", node.start_mark)
            todo += [part for part in parts if part not in sizes]
            continue
        todo.pop()
        counted = [sizes[part] or (0, 0) for part in parts]
        values = 1 + sum(count for count, _ in counted)
        depth = 1 + max((below for _, below in counted), default=0)
        if values > MAX_VALUES or depth > MAX_DEPTH:
            text = f"more than {MAX_VALUES} values" if values > MAX_VALUES else f"more than {MAX_DEPTH} levels"
            raise yaml.composer.ComposerError(None, None, f"{text}, aliases written out", node.start_mark)
        sizes[node] = (values, depth)


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
