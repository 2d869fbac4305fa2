"""``library``, ``methods``, ``config`` and ``doctor``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videopipe.cli import show
from videopipe.cli.methods import methods
from videopipe.cli.options import ConfigFile, Json, LibraryDir, Overrides, resolve

if TYPE_CHECKING:
    from videopipe.library import Library

_library = typer.Typer(help="Look after a library.", no_args_is_help=True, rich_markup_mode=None)
_config = typer.Typer(help="Show the configuration.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands, in the order in which the help lists them."""
    app.add_typer(_library, name="library")
    app.command()(methods)
    app.add_typer(_config, name="config")
    app.command()(doctor)


def _open(library: Path | None) -> Library:
    from videopipe.api import default_library
    from videopipe.library import Library

    return Library.open(library or default_library())


@_library.command("list")
def list_videos(library: LibraryDir = None, as_json: Json = False) -> None:
    """List the videos in a library."""
    with _open(library) as opened:
        videos = opened.videos()
    if as_json:
        show.dump({"schema_version": 1, "videos": [video.to_dict() for video in videos]})
        return
    for video in videos:
        gone = "" if video.path.exists() else "  (file is gone)"
        print(
            f"{video.video_id[:8]}  {show.clock(video.duration)}  {video.clips:>4} clips  "
            f"{video.texts:>5} texts  {show.plain(video.path)}{gone}"
        )


@_library.command()
def stats(library: LibraryDir = None, as_json: Json = False) -> None:
    """Count what is in a library."""
    with _open(library) as opened:
        found = opened.stats().to_dict()
    if as_json:
        show.dump({"schema_version": 1, **found})
        return
    for name, value in found.items():
        print(f"{name:16} {value}")


@_library.command()
def remove(
    video: Annotated[str, typer.Argument(help="Path, name or id (its first characters).")],
    library: LibraryDir = None,
) -> None:
    """Remove a video from a library; the video file stays."""
    with _open(library) as opened:
        held = opened.get(video)
        opened.remove(held.video_id)
        opened.flush()
    print(f"removed {held.path}")


@_library.command()
def rebuild(library: LibraryDir = None) -> None:
    """Build the search indexes again from the stored texts and vectors."""
    with _open(library) as opened:
        opened.rebuild()
        texts = opened.stats().texts
    print(f"rebuilt the search indexes over {texts} texts")


@_library.command()
def verify(library: LibraryDir = None) -> None:
    """Check a library for damage; exits with 1 when there is any."""
    with _open(library) as opened:
        problems = opened.verify()
        gone = [video.path for video in opened.videos() if not video.path.exists()]
    for path in gone:
        print(f"note: the file {path} is gone; it can be searched but not shown.", file=sys.stderr)
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(1)
    print("no problems found")


@_config.command("show")
def show_config(config: ConfigFile = None, overrides: Overrides = None) -> None:
    """Print every key with its value and where the value came from."""
    from videopipe.config import to_yaml

    resolved = resolve(config, overrides)
    print(to_yaml(resolved.config, resolved.origins), end="")


def doctor(as_json: Json = False) -> None:
    """Check that everything works on this machine."""
    from videopipe.cli.doctor import check

    results = []
    for result in check():
        results.append(result)
        if not as_json:
            print(f"{result.status:4}  {result.name:12} {result.found}")
            if result.fix:
                print(f"{'':18} {result.fix}")
            sys.stdout.flush()
    if as_json:
        show.dump({"schema_version": 1, "checks": [result.to_dict() for result in results]})
    if any(result.status == "fail" for result in results):
        raise typer.Exit(1)
