"""Entry point: the table of commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

from leicos_jobs import __version__
from leicos_jobs.cli.output import QUIET_HELP, quiet_option, remember_quiet
from leicos_jobs.core.errors import STOPPED, ExitCode, LeicosError, no_room
from leicos_jobs.core.pod import explain
from leicos_jobs.core.stages import STAGES

# OpenMP's threads spin while they wait for each other. Where others want the cores too, they spin their time away: a
# training step took eight times as long beside a compiler. libgomp reads this when torch loads it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_YOURS = {
    "run": ("leicos_jobs.cli.here:run", "Run the whole pipeline on this machine."),
    "init": ("leicos_jobs.cli.here:init", "Write a commented configuration for a recording."),
    "record": ("leicos_jobs.cli.here:record", "Record scripted demonstrations in the embedded simulator."),
    "inspect": ("leicos_jobs.cli.look:inspect", "Say what a recording, dataset or run holds, and every problem."),
    "robot": ("leicos_jobs.cli.robots:robot", "Check a robot's file, or begin one from a dataset or a recording."),
    "to-lerobot": ("leicos_jobs.cli.datasets:to_lerobot", "Convert recordings to a LeRobot dataset, v2.1 or v3.0."),
    "merge": ("leicos_jobs.cli.datasets:merge", "Merge LeRobot datasets and runs into one dataset."),
    "to-leisaac": ("leicos_jobs.cli.datasets:to_leisaac", "Write a run or dataset as LeIsaac's HDF5, with its states."),
    "view": ("leicos_jobs.cli.view:view", "Look at a run in a browser: samples, videos, curves, lineage, failures."),
    "status": ("leicos_jobs.cli.look:status", "Say how far a run is, from its store alone."),
    "check": ("leicos_jobs.cli.look:check", "Compare every object of a run with what was written; repair."),
    "config": ("leicos_jobs.cli.look:config", "Check a configuration, or print its JSON schema."),
    "label-videos": ("leicos_jobs.cli.look:label_videos", "Label any videos with an IDM artifact."),
    "gc": ("leicos_jobs.cli.look:gc", "Remove orphaned objects of a run."),
    "explain": ("leicos_jobs.cli.look:explain", "Say what an error's code means, or what does a step of the tutorial."),
    "doctor": ("leicos_jobs.cli.doctor:doctor", "Say what is installed here, and what is lacking."),
    "verify": ("leicos_jobs.cli.look:verify", "Check a backend against its upstream, where the hardware is."),
}
_THE_CLUSTERS = {
    "submit": ("leicos_jobs.cli.clusters:submit", "Start a run on a cluster."),
    "resubmit": ("leicos_jobs.cli.clusters:resubmit", "Start a run's workflow again; only what is missing is done."),
    "render": ("leicos_jobs.cli.clusters:render", "Print the Argo manifests."),
    "lint": ("leicos_jobs.cli.clusters:lint", "Check Argo manifests offline."),
}
_THE_PIPELINES = {name: ("leicos_jobs.cli.pipeline:command", stage.summary) for name, stage in STAGES.items()}
GROUPS = {
    "Your commands": _YOURS,
    "Commands for a cluster": _THE_CLUSTERS,
    "Commands of the pipeline, which its pods call": _THE_PIPELINES,
}
COMMANDS = _YOURS | _THE_CLUSTERS | _THE_PIPELINES


class LazyGroup(click.Group):
    """Knows names and one-line helps; loads a command's module when it is called or asked for its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Commands in pipeline order, not in the alphabet's."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        loaded = getattr(importlib.import_module(module), name)
        command = loaded(cmd_name) if cmd_name in STAGES else loaded
        if not isinstance(command, click.Command):
            return None
        if not any(option.name == "quiet" for option in command.params):
            command.params.append(quiet_option())
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands by whose they are, without importing them."""
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])


EPILOG = """\b
Examples:
  leicos record demos.hdf5 --episodes 90
  leicos run --source demos.hdf5 --task "Lift the red cube up." --out runs/lift
  leicos status runs/lift
"""


@click.command(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="leicos")
@click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=remember_quiet, help=QUIET_HELP)
def cli() -> None:
    """Turn a handful of robot demonstrations into thousands of correctly labelled synthetic ones.

    Exit codes: 0 done, 75 try again, 78 the input or the configuration is wrong, 70 a defect. Each error names its
    code, which `leicos explain CODE` explains.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with one of `ExitCode`."""
    try:
        code = cli.main(args=arguments, prog_name="leicos", standalone_mode=False)
    except LeicosError as error:
        told = no_room(error) or error
        found = _code(told)
        _say(str(told) if found == STOPPED else f"error: {told}{_more(found)}")
        explain(str(told))
        code = told.exit_code
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        print(_more("usage").strip("\n"), file=sys.stderr)
        explain(error.format_message())
        code = ExitCode.INPUT
    except (click.Abort, KeyboardInterrupt):
        _say("stopped; start again to go on")
        code = ExitCode.RETRY
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.DONE
    except Exception as error:  # noqa: BLE001 - the boundary: whatever is not foreseen is a defect, with its traceback
        if (full := no_room(error)) is not None:
            _say(f"error: {full}{_more(_code(full))}")
            code = full.exit_code
        elif isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            _say(f"error: {error.filename}: no such file: the name is too long\n  fix: check the path{_more('disk')}")
            code = ExitCode.INPUT
        else:
            traceback.print_exc()
            _say(f"this is a defect in leicos; please report the traceback above{_more('defect')}")
            explain(f"a defect in leicos, its traceback is in the log: {type(error).__name__}: {error}")
            code = ExitCode.DEFECT
    sys.exit(code if isinstance(code, int) else ExitCode.DONE)


def _code(error: LeicosError) -> str:
    from leicos_jobs.core.error_codes import code_of  # brings pydantic, which most commands need anyway, but not --help

    return code_of(error)


def _more(code: str) -> str:
    return f"\n  code: {code} (`leicos explain {code}`)"


def _say(text: str) -> None:
    print(f"leicos: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
