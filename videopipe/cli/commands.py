"""``ask``, ``index``, ``search``, ``info``, ``frames`` and ``demo``."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from videopipe.cli import show
from videopipe.cli.options import (
    BaseUrl,
    ConfigFile,
    Encoder,
    Json,
    LibraryDir,
    Model,
    Overrides,
    resolve,
)
from videopipe.errors import ConfigError

VideoFile = Annotated[
    str, typer.Argument(metavar="VIDEO", help="Video file, or its URL.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands, in the order in which the help lists them."""
    for command in (ask, index, search, info, frames, demo):
        app.command()(command)


def ask(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="VIDEO QUESTION",
            help="Video and question; with --library the question.",
            show_default=False,
        ),
    ],
    library: LibraryDir = None,
    choices: Annotated[
        str | None, typer.Option(metavar="A|B|C", help="Pick one of these answers.")
    ] = None,
    frames: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the evidence frames here (PNG).")
    ] = None,
    clips: Annotated[
        int | None, typer.Option("--clips", "-k", help="Answer from this many clips.")
    ] = None,
    model: Model = None,
    base_url: BaseUrl = None,
    budget: Annotated[
        int | None,
        typer.Option(metavar="TOKENS", help="Visual tokens the model is shown [default: 4096]."),
    ] = None,
    select: Annotated[
        str | None,
        typer.Option(metavar="METHOD", help="How frames are chosen [default: auto]."),
    ] = None,
    compressor: Annotated[
        str | None,
        typer.Option(metavar="METHODS", help="How visual tokens become few [default: auto]."),
    ] = None,
    encoder: Encoder = None,
    second_look: Annotated[
        bool, typer.Option("--second-look", help="Look again, larger, where the model is unsure.")
    ] = False,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw how the frames were chosen (.png, .svg, .pdf)."),
    ] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Answer a question about a video or a library.

    The answer quotes what is said, shown or measured, and cites its times; with --model a video
    MLLM looks at the clips found and answers in its own words. A video that is not in the library
    yet is indexed first.

    Examples:

      videopipe ask lecture.mp4 "When does she define entropy?"

      videopipe ask --library talks "Who mentions Bayes?" --frames evidence

      videopipe ask lecture.mp4 "What is on the board?" --model Qwen/Qwen3-VL-2B-Instruct
    """
    if len(words) > 2 or (len(words) == 1 and library is None):
        raise ConfigError('Give a video and one quoted question: videopipe ask VIDEO "question".')
    resolved = resolve(
        config,
        overrides,
        retrieve__clips=clips,
        model__name=model,
        model__base_url=base_url,
        budget__tokens=budget,
        select__method=select,
        select__second_look=second_look or None,
        compress__method=compressor,
        encoder__model=encoder,
    )
    from videopipe import api
    from videopipe.cli.progress import observe, speaking

    with observe() as observer, speaking() as (tell, on_text):
        result = api.ask(
            words[-1],
            words[0] if len(words) == 2 else None,
            library,
            choices=[part.strip() for part in choices.split("|")] if choices is not None else (),
            frames=frames,
            explain=explain,
            config=resolved.config,
            observer=observer,
            on_text=on_text,
            tell=tell,
        )
    for warning in result.warnings:
        print(f"note: {warning}", file=sys.stderr)
    if as_json:
        show.dump(result.to_dict())
    else:
        show.answer(result)


def index(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH...", help="Videos, or folders of them.", show_default=False),
    ] = None,
    library: LibraryDir = None,
    describe: Annotated[
        str | None, typer.Option(metavar="HOW", help="vlm: caption each clip with --model.")
    ] = None,
    model: Model = None,
    base_url: BaseUrl = None,
    asr: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Transcribe what has no subtitles: hub name or folder."),
    ] = None,
    encoder: Encoder = None,
    workers: Annotated[
        int | None, typer.Option(help="Videos in work at once [default: one per core].")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Address of a running Ray cluster, or auto.")
    ] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Index videos into a library.

    Run it again to go on after an interruption or to pick up what changed. One video is worked on
    in this process, several on Ray. A broken file is one line in the report and never stops the
    others.

    Examples:

      videopipe index lecture.mp4

      videopipe index videos/ --library talks

      videopipe index videos/ --describe vlm --model Qwen/Qwen3-VL-2B-Instruct
    """
    resolved = resolve(
        config,
        overrides,
        captions__by=describe,
        model__name=model,
        model__base_url=base_url,
        asr__model=asr,
        encoder__model=encoder,
        run__workers=workers,
        run__address=address,
    )
    if resolved.config.captions.by == "vlm" and resolved.config.model.name is None:
        raise ConfigError("Captions need a model: name it with --model.")
    if model is not None and resolved.config.captions.by == "none":
        raise ConfigError(f"What is '{model}' to do? Add --describe vlm to let it caption clips.")
    given = resolved.config.index
    paths = paths or [Path(path) for path in given.paths]
    if not paths:
        raise ConfigError("Name videos or folders to index (or set index.paths).")
    if library is None and given.library is not None:
        library = Path(given.library)
    from videopipe import api
    from videopipe.cli.progress import observe, summary

    try:
        # Ray prints what it has to say about dead workers on stdout, which is for the result.
        with redirect_stdout(sys.stderr), observe() as observer:
            report = api.index(paths, library, config=resolved.config, observer=observer)
    except KeyboardInterrupt:
        print(
            "videopipe: interrupted; finished videos are in the library, "
            "run the same command again to go on.",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None
    if as_json:
        show.dump(report.to_dict())
    else:
        summary(report)
    if error := report.error():
        raise error


def search(
    query: Annotated[str, typer.Argument(help="What to look for.", show_default=False)],
    library: LibraryDir = None,
    video: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this video: path, name or id.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Number of clips.")] = 10,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Find clips by what is said, shown or measured.

    Example:

      videopipe search --library talks "error 404 page" --limit 5
    """
    resolved = resolve(config, overrides)
    from videopipe import api

    results = api.search(query, library, video=video, limit=limit, config=resolved.config)
    if as_json:
        show.dump({"schema_version": 1, "query": query, "hits": [hit.to_dict() for hit in results]})
    elif results:
        show.hits(results)
    else:
        print("Nothing in the library matches.", file=sys.stderr)


def info(video: VideoFile, as_json: Json = False) -> None:
    """Show what is in a video file."""
    from videopipe.media import probe

    found = probe(video)
    if as_json:
        show.dump({"schema_version": 1, "video_id": found.video_id, **found.to_dict()})
    else:
        show.video(found)


def frames(
    video: VideoFile,
    at: Annotated[
        str, typer.Option(metavar="TIMES", help="Seconds or h:mm:ss, with commas between.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the PNG files.")] = Path(),
    size: Annotated[
        int | None, typer.Option(min=1, help="Short side in pixels [default: full size].")
    ] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Write the frames displayed at given times as PNG.

    Example:

      videopipe frames lecture.mp4 --at 1.5,0:12:41 --size 448 --out stills

      videopipe frames https://example.org/lecture.mp4 --at 0:12:41
    """
    times = [_seconds(part) for part in at.split(",")]
    decode = resolve(config, overrides).config.decode
    from videopipe.answer import cut, write_frame
    from videopipe.errors import MediaError
    from videopipe.media import fetch_each, location

    place = location(video)
    written = {}
    pictures = fetch_each(
        place,
        sorted(set(times)),
        size,
        workers=decode.workers or os.cpu_count() or 1,
        backend=decode.backend,
        deadline=decode.deadline_seconds,
    )
    for time, frame in pictures:
        written[time] = write_frame(out, f"{cut(place.stem)}_{show.stamp(time)}", frame)
    for time in dict.fromkeys(times):
        if time in written:
            print(written[time])
    if len(written) < len(set(times)):
        missing = ", ".join(f"{time:g}" for time in sorted(set(times) - written.keys()))
        raise MediaError(f"{place} cannot be decoded at {missing} s; it is damaged there.")


def demo(
    folder: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Where everything is put.")
    ] = Path("demo"),
) -> None:
    """Render an hour of video, index it, ask it questions.

    A second run reuses what is there.
    """
    from videopipe import api
    from videopipe.cli.progress import bar, observe
    from videopipe.evaluate.demo import ensure_demo

    folder.mkdir(parents=True, exist_ok=True)
    with bar("Rendering the demonstration video") as progress:
        video = ensure_demo(folder / "demo.mp4", progress=progress)
    library = folder / "library"
    print(f"$ videopipe index {video.path} --library {library}", file=sys.stderr)
    with observe() as observer:
        report = api.index(video.path, library, observer=observer)
    if error := report.error():
        raise error
    for number, question in enumerate(video.questions, 1):
        stills = folder / "evidence" / str(number)
        print(f'\n$ videopipe ask --library {library} "{question.question}" --frames {stills}')
        show.answer(api.ask(question.question, library=library, frames=stills))


def _seconds(text: str) -> float:
    """``12.5`` or ``h:mm:ss.s`` in seconds."""
    try:
        seconds = 0.0
        for part in text.strip().split(":"):
            seconds = seconds * 60 + float(part)
    except ValueError:
        raise ConfigError(f"'{text}' is not a time; write seconds or h:mm:ss.") from None
    return seconds
