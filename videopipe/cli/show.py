"""How results look on a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videopipe.answer import Answer
    from videopipe.library import ClipHit
    from videopipe.types import SubtitleTrack, VideoInfo

SOURCE_NAMES = {
    "subtitle": "subtitle",
    "asr": "speech",
    "ocr": "on screen",
    "facts": "measured",
    "caption": "caption",
    "frames": "seen",
}


def clock(seconds: float) -> str:
    """Seconds as ``h:mm:ss``, rounded down."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def span(start: float, end: float) -> str:
    """``[h:mm:ss–h:mm:ss]``; the end is rounded up, so that the span holds all of the evidence."""
    return f"[{clock(start)}–{clock(-(-end // 1))}]"


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def plain(text: object) -> str:
    """``text`` on one line, without characters that steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def dump(document: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(document, ensure_ascii=False, indent=2))


def shorten(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def answer(result: Answer) -> None:
    """The answer, then each citation with its time, source and frame."""
    print("\n".join(map(plain, result.text.splitlines())))
    for index, choice in enumerate(result.choices):
        mark = "→" if index == result.choice else " "
        score = f"  ({choice.score:.2f})" if result.budget is None else ""
        print(f" {mark} {chr(65 + index)}. {plain(choice.text)}{score}")
    if result.citations:
        print()
    several = len({citation.video_id for citation in result.citations}) > 1
    for citation in result.citations:
        name = f"  {plain(citation.video.name)}" if several else ""
        source = SOURCE_NAMES[citation.source]
        where = span(citation.start, citation.end)
        print(f"[{citation.number}] {where}{name}  {source}, score {citation.score:.2f}")
        if citation.frame is not None:
            print(f"    {citation.frame}")
    if result.budget is not None:
        _looked(result)


def _looked(result: Answer) -> None:
    """What a model was shown, and what it cost."""
    assert result.budget is not None
    if not result.citations:
        seen = [part for part in result.evidence if part.times]
        several = len({part.video_id for part in seen}) > 1
        print("\nlooked at")
        for part in seen:
            name = f"  {plain(part.video.name)}" if several else ""
            print(f"    {span(part.start, part.end)}{name}")
            if part.frame is not None:
                print(f"        {part.frame}")
    budget = result.budget
    sizes = ", ".join(f"{width}x{height}" for height, width in budget["resolutions"])
    used = f"{'about ' * budget['estimated']}{budget['used']} of {budget['budget']} visual tokens"
    print(
        f"\n{plain(result.model)}: {_frames(budget['frames'])} at {sizes}, {used} "
        f"({budget['compressor']})"
    )
    if why := budget.get("why"):
        print(f"{budget['compressor']}: {plain(why)}")
    chosen = result.selection or {}
    if why := "; ".join(chosen.get("why", ())):
        print(f"{chosen['method']} by {', '.join(chosen['signals'])}: {plain(why)}")
    for one in chosen.get("looks", ())[1:]:
        print(f"second look: {plain(one['why'])}; {_frames(one['frames'])}, {one['used']} tokens")


def _frames(count: int) -> str:
    return f"{count} frame{'s' * (count != 1)}"


def hits(results: list[ClipHit]) -> None:
    """Ranked clips with the text that matched."""
    for rank, hit in enumerate(results, 1):
        best = hit.matches[0]
        print(
            f"{rank:>2}. {span(hit.clip.start, hit.clip.end)}  {plain(hit.video.name)}  "
            f"score {hit.score:.2f}  ({SOURCE_NAMES[best.source]})"
        )
        print(f"    {shorten(best.text, 110)}")


def stamp(seconds: float) -> str:
    """A time as part of a file name: ``0-12-41.500``, with microseconds where it has them."""
    whole, micros = divmod(round(seconds * 1_000_000), 1_000_000)
    fraction = f"{micros:06d}"
    return clock(whole).replace(":", "-") + "." + fraction.removesuffix("000")


def video(info: VideoInfo) -> None:
    """What ``videopipe info`` prints: one fact a line."""
    facts = info.to_dict()
    turned = f", rotated by {info.rotation}°" if info.rotation else ""
    stored = (
        f" (stored as {info.coded_width}x{info.coded_height}{turned})"
        if (info.coded_width, info.coded_height) != (info.width, info.height) or turned
        else ""
    )
    kind = "variable" if info.variable_rate else "constant"
    spacing, longest = facts["keyframe_spacing_mean_s"], facts["keyframe_spacing_max_s"]
    keys = f"{len(info.keyframes)}" + (
        f", every {spacing:.2f} s on average, {longest:.2f} s at most" if spacing else ""
    )
    rows = [
        ("file", str(info.path)),
        ("container", info.container),
        ("duration", f"{clock(info.duration)} ({info.duration:.3f} s, {info.frame_count} frames)"),
        ("size", f"{info.width}x{info.height}{stored}"),
        ("codec", f"{info.codec}, {info.pixel_format}"),
        ("rate", f"{info.rate:.3f} frames per second, {kind}"),
        ("first frame", f"at {info.start:.3f} s of the file's clock"),
        ("key frames", keys),
        ("audio", "; ".join(info.audio) or "none"),
    ]
    rows += [("subtitles", _track(track)) for track in info.subtitles] or [("subtitles", "none")]
    rows += [("warning", warning) for warning in info.warnings]
    for name, value in rows:
        print(f"{name:12} {plain(value)}")


def _track(track: SubtitleTrack) -> str:
    where = track.path.name if track.stream is None else f"stream {track.stream}"
    details = [track.format, track.language, track.title]
    return f"{where}: {', '.join(detail for detail in details if detail)}"
