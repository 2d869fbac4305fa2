"""The public functions: what the command line does, for Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from videopipe import answer
from videopipe.answer import Answer
from videopipe.cluster import choose_executor
from videopipe.config import Config
from videopipe.errors import ConfigError
from videopipe.ingest import IndexReport, InProcess, Observer, index_paths
from videopipe.library import ClipHit, Library, Video, load_embedder
from videopipe.select import method as selector
from videopipe.types import normalised, stamp

PathLike = str | os.PathLike[str]


def default_library() -> Path:
    """The user's own library: ``$VIDEOPIPE_HOME`` or the XDG data directory."""
    if home := os.environ.get("VIDEOPIPE_HOME"):
        return Path(home) / "library"
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "videopipe" / "library"


def index(
    paths: PathLike | Sequence[PathLike],
    library: PathLike | Library | None = None,
    *,
    config: Config | None = None,
    observer: Observer | None = None,
) -> IndexReport:
    """Index videos: files, or directories walked recursively.

    A broken video is a line in the report and never stops the run; ``report.error()`` tells
    whether something went wrong. Without ``library`` the user's own is used.

    Raises:
        NotFound: ``library`` is a directory that holds something else.
        LibraryError: the library cannot be written (locked, damaged, disk full).
    """
    config = config or Config()
    names = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    with _opened(library, create=True) as opened:
        return index_paths(
            [Path(name) for name in names],
            opened,
            config,
            lambda jobs, alone: choose_executor(config.run, jobs, alone),
            observer,
        )


def ask(
    question: str,
    video: PathLike | None = None,
    library: PathLike | Library | None = None,
    *,
    choices: Sequence[str] = (),
    frames: PathLike | None = None,
    explain: PathLike | None = None,
    model: str | None = None,
    budget: int | None = None,
    config: Config | None = None,
    observer: Observer | None = None,
    on_text: Callable[[str], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Answer:
    """Answer ``question`` from one video or from a whole library.

    A ``video`` file that the library does not hold yet is indexed first, in this process. The
    evidence frames are written into the folder ``frames`` when it is given, and a picture of how
    they were chosen into the file ``explain``. With ``choices`` one of them is picked.

    Args:
        model: a video MLLM, by hub name or folder, or ``openai:MODEL`` on a server, that looks at
            the clips found; None: the one of ``config.model``, else the library is quoted.
        budget: visual tokens that the model is shown at most; None: ``config.budget.tokens``.
        on_text: told a model's reply as it comes.
        tell: told in a sentence what a model is doing.

    Raises:
        ConfigError: an empty question, or neither ``video`` nor ``library``.
        NotFound: the video, the library or the model is not there.
        MediaError: the video cannot be indexed.
        ModelError: the model cannot be loaded or reached.
        TimeLimit: the model said nothing within its time.
    """
    config = config or Config()
    if model is not None:
        config = replace(config, model=replace(config.model, name=model))
    if budget is not None:
        config = replace(config, budget=replace(config.budget, tokens=budget))
    if video is None and library is None:
        raise ConfigError("Name a video or a library to ask.")
    answer.check(question, choices)  # before a video is indexed for it
    selector(config.select.method)
    if explain is not None:
        answer.check_target(Path(explain))
    with _opened(library, create=video is not None) as opened:
        if config.model.name is not None:
            return _watch(
                question, video, opened, choices, frames, explain, config, observer, on_text, tell
            )
        wanted = None if video is None else [_ensure(opened, video, config, observer)]
        return answer.ask(
            question,
            opened,
            videos=wanted,
            choices=choices,
            frames=None if frames is None else Path(frames),
            explain=None if explain is None else Path(explain),
            config=config,
        )


def _watch(
    question: str,
    video: PathLike | None,
    library: Library,
    choices: Sequence[str],
    frames: PathLike | None,
    explain: PathLike | None,
    config: Config,
    observer: Observer | None,
    on_text: Callable[[str], None] | None,
    tell: Callable[[str], None] | None,
) -> Answer:
    """Ask the model; it is loaded first, so that nothing is indexed for one that is not there."""
    from videopipe.answer.watch import watch  # brings transformers along
    from videopipe.mllm import open_viewer

    if video is not None and not Path(video).exists():
        _ensure(library, video, config, observer)
    tell = tell or (lambda sentence: None)
    tell(f"loading {config.model.name} ...")
    viewer = open_viewer(config.model)
    viewer.plan([], config.budget.tokens, config.compress.method, config.compress.ratio)
    tell(f"{viewer.name}: {viewer.about}")
    return watch(
        question,
        library,
        viewer,
        videos=None if video is None else [_ensure(library, video, config, observer)],
        choices=choices,
        frames=None if frames is None else Path(frames),
        explain=None if explain is None else Path(explain),
        config=config,
        on_text=on_text,
        tell=tell,
    )


def search(
    query: str,
    library: PathLike | Library | None = None,
    *,
    video: PathLike | None = None,
    limit: int = 10,
    config: Config | None = None,
) -> list[ClipHit]:
    """The clips that match ``query``, best first.

    Raises:
        ConfigError: an empty query.
        NotFound: the library is not there or does not hold ``video``.
    """
    config = config or Config()
    with _opened(library, create=False) as opened:
        videos = None if video is None else [opened.get(os.fspath(video)).video_id]
        embedder = load_embedder(config.embed.model)
        return opened.search(query, limit, videos=videos, embedder=embedder)


def _opened(library: PathLike | Library | None, *, create: bool) -> Library | nullcontext[Library]:
    if isinstance(library, Library):
        return nullcontext(library)  # whoever opened it closes it
    path = default_library() if library is None else Path(library)
    return Library.open(path, create=create)


def _ensure(library: Library, video: PathLike, config: Config, observer: Observer | None) -> str:
    """The id of ``video`` in ``library``, indexed first where needed."""
    path = Path(video)
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: index it, then ask with --library.")
    held: Video | None
    if path.is_file():
        # As it was indexed, whatever the settings are now: what models wrote about it is dear.
        at = normalised(path)
        now = stamp(path)
        held = next(
            (v for v in library.videos() if v.path == at and (v.size, v.mtime_ns) == now), None
        )
    else:
        held = library.find(os.fspath(video))
    if held is not None:
        return held.video_id
    report = index_paths([path], library, config, lambda *_: InProcess(), observer)
    if error := report.error():
        raise error
    video_id = report.outcomes[0].video_id
    assert video_id is not None
    return video_id
