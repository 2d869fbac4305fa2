"""Where the subtitles of a video are, inside the file and beside it, and reading them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from videopipe.errors import MediaError, NotFound
from videopipe.media.container import opened
from videopipe.media.cues import Cue, ass_text, cleaned, decoded, parse
from videopipe.media.remote import location
from videopipe.types import Location, SubtitleTrack, TimedText, Url, VideoInfo

if TYPE_CHECKING:
    from av.container import InputContainer

SUBTITLE_SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
_TEXT_CODECS = ("mov_text", "subrip", "ass", "webvtt", "text")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
# Containers use the three-letter codes of ISO 639-2, file names mostly the two-letter ones.
_CODES = (
    "ara:ar ben:bn bul:bg cat:ca ces:cs cze:cs chi:zh zho:zh dan:da deu:de ger:de dut:nl nld:nl "
    "ell:el gre:el eng:en est:et fas:fa per:fa fin:fi fra:fr fre:fr heb:he hin:hi hrv:hr hun:hu "
    "ind:id ita:it jpn:ja kor:ko lav:lv lit:lt may:ms msa:ms nor:no pol:pl por:pt ron:ro rum:ro "
    "rus:ru slk:sk slo:sk slv:sl spa:es srp:sr swe:sv tam:ta tel:te tha:th tur:tr ukr:uk urd:ur "
    "vie:vi"
)
_TWO_LETTERS = dict(pair.split(":") for pair in _CODES.split())
_NOT_LANGUAGES = frozenset({"cc", "sdh", "sub", "und"})


def find_subtitles(path: Location | str) -> tuple[SubtitleTrack, ...]:
    """The subtitle files beside a video: ``movie.srt``, ``movie.en.vtt``, ``movie.notes.ass``.

    The language is guessed from the part between the two names; what else stands there is the
    title. Beside a URL nothing is looked for.
    """
    path = location(path)
    if isinstance(path, Url):
        return ()
    try:
        siblings = sorted(p for p in path.parent.iterdir() if p.is_file())
    except OSError:
        return ()
    # movie.part2.srt belongs to movie.part2.mp4 where there is one, not to movie.mp4.
    nearer = tuple(
        f"{p.stem}."
        for p in siblings
        if p.suffix.lower() not in SUBTITLE_SUFFIXES and p.stem.startswith(f"{path.stem}.")
    )
    tracks = []
    for file in siblings:
        suffix = file.suffix.lower()
        if suffix not in SUBTITLE_SUFFIXES or not file.name.startswith(f"{path.stem}."):
            continue
        if nearer and file.name.startswith(nearer):
            continue
        language, title = _described(file.stem[len(path.stem) + 1 :])
        tracks.append(SubtitleTrack(file, None, suffix[1:], language, title))
    return tuple(sorted(tracks, key=lambda track: len(track.path.name)))


def same_language(tag: str | None, wanted: str | None) -> bool:
    """Whether a language tag (``eng``, ``en-US``, ``zh_Hans``) is of the language ``wanted``."""
    return wanted is not None and tag is not None and _primary(tag) == _primary(wanted)


def _primary(tag: str) -> str:
    code = re.split("[-_]", tag.lower())[0]
    return _TWO_LETTERS.get(code, code)


def embedded_subtitles(container: InputContainer, path: Location) -> tuple[SubtitleTrack, ...]:
    """The text tracks inside an open file; tracks of pictures are left out."""
    tracks = []
    for stream in container.streams.subtitles:
        context = stream.codec_context
        if context is None or context.codec.canonical_name not in _TEXT_CODECS:
            continue
        language = stream.language if stream.language not in _NOT_LANGUAGES else None
        title = stream.metadata.get("title")
        tracks.append(
            SubtitleTrack(path, stream.index, context.codec.canonical_name, language, title)
        )
    return tuple(tracks)


def read_subtitles(track: SubtitleTrack, info: VideoInfo) -> list[TimedText]:
    """The lines of ``track`` in order of time, cleaned of markup, each with ``end > start``.

    Repeats of rolling captions are taken out. A speaker named by the format stands before the
    line: ``Name: text``.

    Raises:
        NotFound: the file is not there.
        MediaError: it cannot be read.
    """
    if track.stream is not None:
        return cleaned(_embedded(track, track.stream, info.start))
    assert isinstance(track.path, Path)  # a URL has nothing beside it
    try:
        data = track.path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"The subtitle file {track.path} does not exist.") from None
    except OSError as error:
        raise MediaError(
            f"The subtitle file {track.path} cannot be read: {error.strerror}."
        ) from None
    return cleaned(parse(decoded(data), track.format))


def _embedded(track: SubtitleTrack, index: int, start: float) -> Iterator[Cue]:
    """The packets of a text track; its clock is the file's, whose ``start`` is our zero."""
    import av

    with opened(track.path) as container:
        stream = container.streams[index]
        try:
            for packet in container.demux(stream):
                if packet.pts is None or packet.size == 0:
                    continue
                begin = float(packet.pts * packet.time_base) - start
                length = float((packet.duration or 0) * packet.time_base)
                text = _payload(track.format, bytes(packet))
                yield Cue(begin, begin + length if length > 0 else None, text)
        except av.FFmpegError:
            return  # what was read before the damage is still right


def _payload(codec: str, data: bytes) -> str:
    if codec == "mov_text":  # length, text, then boxes of style
        data = data[2 : 2 + int.from_bytes(data[:2], "big")]
    text = decoded(data)
    if codec == "ass":  # ReadOrder, Layer, Style, Name, three margins, Effect, Text
        text = ass_text(text.split(",", 8)[-1])
    return text


def _described(middle: str) -> tuple[str | None, str | None]:
    """Language and title from the middle part of ``movie.en.forced.srt``."""
    language = None
    rest = []
    for part in filter(None, middle.split(".")):
        if language is None and part.lower() not in _NOT_LANGUAGES and _LANGUAGE.fullmatch(part):
            language = part.replace("_", "-")
        else:
            rest.append(part)
    return language, " ".join(rest) or None
