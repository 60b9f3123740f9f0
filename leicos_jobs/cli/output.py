"""What every command's output has in common: notes that --quiet leaves out, and --json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

QUIET_HELP = "Only results and errors: no notes, no progress."
_QUIET = "leicos.quiet"


def note(text: str) -> None:
    """A line on standard error that is neither a result nor an error; --quiet leaves it out."""
    if not quiet():
        click.echo(text, err=True)


def quiet() -> bool:
    """Whether --quiet was given, before the command's name or after it."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


def quiet_option() -> click.Option:
    """--quiet of a command."""
    return click.Option(["-q", "--quiet"], is_flag=True, expose_value=False, callback=remember_quiet, help=QUIET_HELP)


json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="For machines.")
"""--json, the same of every command that reads."""


def remember_quiet(context: click.Context, _option: click.Parameter, value: bool) -> Any:
    """Callback of --quiet, of the group's too."""
    if value:
        context.meta[_QUIET] = True
    return value
