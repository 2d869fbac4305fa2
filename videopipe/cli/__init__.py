"""The command line: a thin shell that parses, calls the library, and prints.

stdout carries the result, stderr everything else.
"""

from __future__ import annotations

import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType
from typing import Annotated

import typer

from videopipe import __version__
from videopipe.cli import commands, manage
from videopipe.errors import VideopipeError

app = typer.Typer(
    name="videopipe",
    help="Ask questions of hour-long videos: index, search and answer with cited times.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"videopipe {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


commands.register(app)
manage.register(app)


def main() -> None:
    """Entry point: every error becomes one sentence and its exit code."""

    def on_terminate(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # `ray job stop` and service managers send SIGTERM: stop as cleanly as on Ctrl-C.
    signal.signal(signal.SIGTERM, on_terminate)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 (stays open)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names need not be text
    try:
        app()
    except Exception as error:
        if os.environ.get("VIDEOPIPE_DEBUG"):
            raise
        if isinstance(error, VideopipeError):
            message, code = str(error), error.exit_code
        else:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            message, code = f"unexpected {what} (VIDEOPIPE_DEBUG=1 shows where)", 1
        print(f"videopipe: {message}", file=sys.stderr)
        sys.exit(code)
