"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from videopipe.config import Resolved

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
LibraryDir = Annotated[
    Path | None,
    typer.Option("--library", "-l", metavar="DIR", help="Library folder [default: your own]."),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="YAML configuration.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one key, e.g. scan.rate=2."),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="Video MLLM: hub name, folder, or openai:MODEL on a server.",
    ),
]
BaseUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="OpenAI-compatible server of openai:MODEL.")
]
Encoder = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Compare frames with questions: SigLIP2, CLIP; name, folder."
    ),
]


def resolve(file: Path | None, overrides: list[str] | None, **flags: Any) -> Resolved:
    """The configuration; a flag is named by its key with ``__`` for the dot."""
    from videopipe.config import load

    return load(file, overrides or (), {k.replace("__", "."): v for k, v in flags.items()})
