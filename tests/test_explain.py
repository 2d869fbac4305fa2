"""The picture of how frames were chosen: nothing overlaps, nothing is cut off, nothing is lost."""

from __future__ import annotations

import io
import itertools
import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from videopipe.answer import _explain_layout, _explain_page, _explain_panel, explain
from videopipe.answer.explain import (
    ChosenClip,
    ChosenFrame,
    Explanation,
    check_target,
    draw,
    figure,
)
from videopipe.errors import ConfigError, VideopipeError


def clip(
    start: float, end: float, label: str, count: int, height: int = 252, cited: bool = False
) -> ChosenClip:
    size = (height, height * 16 // 9)
    frames = (ChosenFrame(float(t), *size, height / 2) for t in np.linspace(start, end, count))
    return ChosenClip(start, end, label, tuple(frames), cited)


def explanation(
    duration: float = 600.0,
    clips: tuple[ChosenClip, ...] = (),
    *,
    samples: int | None = None,
    shots: int = 40,
    signals: tuple[str, ...] = ("text",),
    question: str = "What is written on the board?",
    budget: tuple[int | None, int | None] = (4096, 4010),
    video: str = "lecture.mp4",
) -> Explanation:
    rng = np.random.default_rng(0)
    count = int(duration) if samples is None else samples
    times = np.arange(count) * (duration / max(count, 1))
    curves = [np.clip(rng.normal(0.3, 0.1, count), 0, 1) for _ in signals]
    return Explanation(
        video=video,
        duration=duration,
        question=question,
        times=times,
        relevance=np.max([np.zeros(count), *curves], axis=0),
        signals=dict(zip(signals, curves, strict=True)),
        cuts=np.sort(rng.uniform(0, duration, shots - 1)),
        clips=clips,
        method="auto",
        why=("3 peaks hold 15 frames", "1 frame for an overview"),
        budget=budget[0],
        used=budget[1],
    )


def peaks() -> Explanation:
    clips = (
        clip(112, 127, "E1", 5, 448),
        clip(220, 220, "E2", 1),
        clip(302, 316, "E3", 4, 336, cited=True),
        clip(474, 487, "E4", 6, 448, cited=True),
    )
    return explanation(600, clips, signals=("text", "frames"))


def hour() -> Explanation:
    starts = np.linspace(60, 3500, 16)
    clips = (clip(s, s + 9, f"E{n + 1}", 4, 140 + 112 * (n % 4)) for n, s in enumerate(starts))
    return explanation(3600, tuple(clips), shots=300, signals=("text", "frames", "model"))


def ten_hours() -> Explanation:
    starts = np.sort(np.random.default_rng(1).uniform(0, 35900, 32))
    clips = (clip(s, s + 8, f"E{n + 1}", 8, cited=n in (3, 4)) for n, s in enumerate(starts))
    return explanation(36000, tuple(clips), shots=5000)


def single_frames() -> Explanation:
    clips = (
        clip(s, s, f"E{n + 1}", 1, cited=n % 17 == 0) for n, s in enumerate(range(5, 3589, 14))
    )
    return explanation(3600, tuple(clips))


def second_look() -> Explanation:
    return explanation(
        1200,
        (
            clip(100, 1100, "E1", 10),
            clip(280, 300, "E2", 3, 504),
            clip(284, 290, "E2\N{PRIME}", 2, 896, cited=True),
        ),
    )


def flat() -> Explanation:
    clips = tuple(clip(s, s, f"E{n + 1}", 1) for n, s in enumerate(np.linspace(18, 282, 8)))
    one = explanation(300, clips, shots=3)
    return replace(one, relevance=np.full(300, 0.5), signals={"text": np.full(300, 0.5)})


def quotes() -> Explanation:
    spans = ((195.0, 210.0), (205.0, 230.0), (510.0, 530.0))
    clips = (ChosenClip(a, b, str(n), (), cited=True) for n, (a, b) in enumerate(spans, 1))
    return explanation(900, tuple(clips), budget=(None, None))


def unicode() -> Explanation:
    return replace(
        peaks(),
        question="板の上に何と書いてありますか？ مرحبا 🎉 " + "mañana " * 90,
        video="講義 \udcff" + "x" * 300 + ".mp4",
        why=("because " * 100,),
    )


CASES: dict[str, Callable[[], list[Explanation]]] = {
    "peaks": lambda: [peaks()],
    "an hour of 64 frames": lambda: [hour()],
    "ten hours of 256 frames": lambda: [ten_hours()],
    "256 clips of a frame": lambda: [single_frames()],
    "two videos": lambda: [peaks(), second_look()],
    "flat": lambda: [flat()],
    "eight seconds": lambda: [explanation(8, (clip(0, 8, "E1", 8, cited=True),), shots=2)],
    "half a second, one frame": lambda: [
        explanation(0.5, (clip(0, 0, "E1", 1),), samples=1, shots=1)
    ],
    "two days": lambda: [explanation(2 * 86400, (clip(9e4, 9e4 + 5, "E1", 4),), samples=500)],
    "crowded at the end": lambda: [
        explanation(3600, tuple(clip(3590 + n, 3590 + n, f"E{n}", 1) for n in range(10)))
    ],
    "quotes": lambda: [quotes()],
    "nothing chosen": lambda: [explanation()],
    "nothing scanned": lambda: [explanation(samples=0, shots=1)],
    "no video": lambda: [],
    "foreign and long texts": lambda: [unicode()],
}


@pytest.fixture(autouse=True)
def _strict() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


class Drawn(NamedTuple):
    """A picture, the figure that it was written from, and what was said and logged meanwhile."""

    file: bytes
    figure: Figure
    said: str


@cache
def case_written(case: str) -> Drawn:
    """Once for all tests: drawing takes most of their time."""
    made = []

    def kept(explanations: list[Explanation]) -> Figure:
        made.append(figure(explanations))
        return made[-1]

    said = io.StringIO()
    log = logging.StreamHandler(said)
    logging.getLogger().addHandler(log)
    try:
        with (
            TemporaryDirectory() as folder,
            patch.object(explain, "figure", kept),
            redirect_stdout(said),
            redirect_stderr(said),
        ):
            path = Path(folder) / "plot.png"
            draw(path, CASES[case]())
            return Drawn(path.read_bytes(), *made, said.getvalue())
    finally:
        logging.getLogger().removeHandler(log)


def case_drawn(case: str) -> Figure:
    return case_written(case).figure


def texts(made: Figure) -> list[Text]:
    found = [text for text in made.findobj(Text) if text.get_visible() and text.get_text()]
    return list({id(text): text for text in found}.values())


def words(made: Figure) -> list[str]:
    return [text.get_text() for text in texts(made)]


def labels(made: Figure) -> list[str]:
    return [w for w in words(made) if w[0] == "E" and w[1:].rstrip("\N{PRIME}").isdigit()]


def boxes(made: Figure) -> list[tuple[str, float, float, float, float]]:
    found = []
    for text in texts(made):
        patch = text.get_bbox_patch()
        box = (patch or text).get_window_extent()
        found.append((text.get_text(), *box.extents))
    return found


@pytest.mark.parametrize("case", CASES)
def test_no_text_is_cut_off_or_stands_on_another(case: str) -> None:
    made = case_drawn(case)
    _, _, width, height = made.bbox.extents
    placed = boxes(made)
    for name, left, low, right, high in placed:
        assert left >= 0, name
        assert low >= 0, name
        assert right <= width, name
        assert high <= height, name
    for (one, *a), (other, *b) in itertools.combinations(placed, 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, (one, other)


@pytest.mark.parametrize("case", CASES)
def test_a_picture_is_1800_pixels_wide_and_as_high_as_its_figure(case: str) -> None:
    written = case_written(case)
    with Image.open(io.BytesIO(written.file)) as picture:
        assert picture.format == "PNG"
        assert picture.width == 1800
        assert picture.height == pytest.approx(written.figure.get_size_inches()[1] * 150, abs=1)
    assert written.said == ""


@pytest.mark.parametrize(("suffix", "head"), [(".svg", b"<?xml"), (".PDF", b"%PDF")])
def test_the_same_explanation_is_the_same_file(tmp_path: Path, suffix: str, head: bytes) -> None:
    one, other = tmp_path / f"new/one{suffix}", tmp_path / f"other{suffix}"
    for path in (one, other):
        draw(path, [quotes()])
    assert one.read_bytes().startswith(head)
    assert one.read_bytes() == other.read_bytes()


def test_a_panel_says_what_was_shown_and_why() -> None:
    found = words(case_drawn("peaks"))
    assert "What is written on the board?" in found
    assert "lecture.mp4" in found
    assert "10:00 long  ·  16 frames in 4 clips  ·  448×252 to 796×448 px" in found
    assert {"E1", "E2", "E3", "E4", "01:52–02:07", "03:40"} <= set(found)
    assert {"448", "336", "252", "tokens per frame", "224"} <= set(found)
    assert {"relevance", "text", "frames", "chosen frame", "cited", "40 shots"} <= set(found)
    why = "3 peaks hold 15 frames · 1 frame for an overview"
    assert f"Method: auto · {why} · 4,010 of 4,096 visual tokens" in found


def test_one_signal_is_the_relevance_and_one_cost_needs_no_colours() -> None:
    found = words(case_drawn("flat"))
    assert "relevance (text)" in found
    assert "text" not in found
    assert "126 tokens each" in found
    assert "tokens per frame" not in found
    assert "cited" not in found


def test_quotes_have_no_strip_of_frames() -> None:
    found = words(case_drawn("quotes"))
    assert "15:00 long  ·  3 passages quoted" in found
    assert {"1", "2", "3", "03:15–03:30", "cited"} <= set(found)
    assert not {"height (px)", "chosen frame"} & set(found)
    assert not any("visual tokens" in w for w in found)


def test_cited_labels_stand_out() -> None:
    made = case_drawn("peaks")
    boxed = {text.get_text() for text in texts(made) if text.get_bbox_patch() is not None}
    assert boxed == {"E3", "E4"}


def test_crowded_labels_are_thinned_out_evenly_but_cited_ones_stay() -> None:
    kept = labels(case_drawn("ten hours of 256 frames"))
    assert {"E4", "E5"} <= set(kept)
    assert 12 <= len(kept) < 32
    assert labels(case_drawn("an hour of 64 frames")) == [f"E{n}" for n in range(1, 17)]


@pytest.mark.parametrize(
    "case", ["peaks", "an hour of 64 frames", "ten hours of 256 frames", "256 clips of a frame"]
)
def test_every_frame_is_a_bar_as_high_as_its_picture(case: str) -> None:
    [one] = CASES[case]()
    strip = case_drawn(case).axes[0]
    [bars] = [c for c in strip.collections if isinstance(c, PolyCollection)]
    corners = np.array([path.vertices[:4] for path in bars.get_paths()])
    order = np.argsort(corners[:, 0, 0])
    left, right, top = corners[order, 0, 0], corners[order, 1, 0], corners[order, 2, 1]
    assert np.all(right > left)
    assert np.all(left[1:] >= right[:-1])
    assert top.tolist() == [frame.height for c in one.clips for frame in c.frames]
    assert strip.get_ylim()[1] > top.max()


def test_bars_stand_at_their_time_where_there_is_room() -> None:
    one = flat()
    row = _explain_panel.Panel(one, _explain_page.Ruler()).row
    wanted = [
        frame.time / one.duration * _explain_layout.SPAN for c in one.clips for frame in c.frames
    ]
    np.testing.assert_allclose(row.bars, wanted, atol=1e-6)


def test_a_clip_inside_another_stands_at_its_time() -> None:
    row = _explain_panel.Panel(second_look(), _explain_page.Ruler()).row
    assert [run.clip for run in row.runs] == [0, 1, 2, 0]
    assert [len(run.frames) for run in row.runs] == [2, 3, 2, 8]


def test_a_peak_of_one_frame_in_ten_hours_is_drawn() -> None:
    one = explanation(36000)
    one.relevance[:] = 0.1
    one.relevance[12345] = 0.9
    one.relevance[777] = np.nan
    line = figure([one]).axes[0].lines[0]
    at, values = line.get_data()
    assert len(at) <= _explain_layout.SPAN + 1
    assert values.max() == 0.9
    assert at[values.argmax()] == pytest.approx(12345 / 36000 * _explain_layout.SPAN)
    assert np.all(np.diff(at) > 0)


@pytest.mark.parametrize("case", ["peaks", "an hour of 64 frames", "ten hours of 256 frames"])
def test_chosen_frames_are_dots_on_the_line_that_is_drawn(case: str) -> None:
    [one] = CASES[case]()
    lines = {line.get_label(): line.get_data() for a in case_drawn(case).axes for line in a.lines}
    at, values = lines["chosen frame"]
    times = [frame.time for c in one.clips for frame in c.frames]
    np.testing.assert_allclose(sorted(at), np.sort(times) / one.duration * _explain_layout.SPAN)
    relevance = next(data for name, data in lines.items() if str(name).startswith("relevance"))
    np.testing.assert_allclose(values, np.interp(at, *relevance), atol=1e-9)


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (3.0, ["00:00.0", "00:00.5", "00:01.0"]),
        (8.0, ["00:00", "00:01", "00:02"]),
        (600.0, ["00:00", "01:00", "02:00"]),
        (3599.0, ["00:00", "10:00", "20:00"]),
        (3600.0, ["0:00:00", "0:10:00", "0:20:00"]),
        (36000.0, ["0:00:00", "1:00:00", "2:00:00"]),
    ],
)
def test_times_are_round_and_written_as_long_as_the_video_needs(
    duration: float, expected: list[str]
) -> None:
    made = figure([explanation(duration, samples=4, shots=1)])
    ticks = [label.get_text() for label in made.axes[-1].get_xticklabels()]
    assert ticks[:3] == expected
    assert 4 <= len(ticks) <= 11
    assert len(set(ticks)) == len(ticks)


def test_mathematics_is_shown_as_it_was_typed() -> None:
    question = r"Is $x_1^2$ or \frac{a} worth $5 & <b>50 %</b>?"
    one = explanation(20, (clip(2, 9, "$E_1$", 2),), question=question, video="a_$b$.mp4")
    made = figure([replace(one, why=("$y$",))])
    made.canvas.draw()
    assert {question, "a_$b$.mp4", "$E_1$"} <= set(words(made))
    assert not any(text.get_parse_math() for text in texts(made))


def test_the_same_explanation_is_the_same_png_whatever_the_user_set_for_matplotlib(
    tmp_path: Path,
) -> None:
    import matplotlib

    theirs = {"text.usetex": True, "font.size": 30.0, "savefig.bbox": "tight", "axes.grid": True}
    with matplotlib.rc_context(theirs):
        draw(tmp_path / "set.png", [peaks()])
        assert matplotlib.rcParams["font.size"] == 30.0
    assert (tmp_path / "set.png").read_bytes() == case_written("peaks").file


def test_long_questions_are_cut_after_three_lines() -> None:
    lines = [w for w in words(case_drawn("foreign and long texts")) if "mañana" in w]
    assert len(lines) == 3
    assert lines[-1].endswith("…")


def test_more_than_six_videos_are_counted() -> None:
    found = words(figure([explanation(9, video=f"{n}.mp4") for n in range(9)]))
    assert {f"{n}.mp4" for n in range(6)} <= set(found)
    assert "6.mp4" not in found
    assert "Not drawn: 3 more videos." in found
    assert sum(w.startswith("Method:") for w in found) == 1


def test_videos_chosen_from_in_different_ways_have_a_line_each() -> None:
    found = words(figure([explanation(), replace(flat(), video="b.mp4", method="uniform")]))
    assert sum("Method: auto" in w for w in found) == 1
    assert sum(w.startswith("b.mp4 · Method: uniform") for w in found) == 1


@given(
    st.lists(st.floats(0, 1000), min_size=1, max_size=40).map(sorted),
    st.floats(0, 20),
)
@settings(deadline=None)
def test_places_keep_their_order_and_distance_and_move_no_more_than_they_must(
    wanted: list[float], apart: float
) -> None:
    spacing = np.full(len(wanted) - 1, apart)
    places = _explain_layout._placed(wanted, spacing, 0, 1000)
    assert np.all(np.diff(places) >= apart - 1e-6)
    assert places[0] >= 0
    assert places[-1] <= 1000 + 1e-6
    if np.all(np.diff(wanted) >= apart):
        np.testing.assert_allclose(places, wanted, atol=1e-6)


@pytest.mark.parametrize("name", ["plot.jpg", "plot", ".png", "plot.png.txt"])
def test_only_pictures_are_drawn(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"is no picture; its name must end in \.png, \.svg or"):
        check_target(tmp_path / name)


def test_a_target_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ConfigError, match="is a folder; name a file for the picture"):
        check_target(tmp_path / "folder.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(VideopipeError, match=r"cannot be written \(.*file is no folder\)"):
        check_target(tmp_path / "file" / "plot.png")
    with pytest.raises(VideopipeError, match=r"cannot be written \(File name too long\)"):
        check_target(tmp_path / ("x" * 300 + ".png"))
    check_target(tmp_path / "new" / "folder" / "plot.png")
    assert not (tmp_path / "new").exists()


def test_a_folder_closed_to_the_user_is_told_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(VideopipeError, match=r"cannot be written \(.* is read-only\)"):
        check_target(tmp_path / "plot.png")


def test_a_full_disk_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(VideopipeError, match=r"cannot be written \(No space left on device\)"):
        draw(tmp_path / "plot.png", [])


def test_matplotlib_is_imported_only_to_draw_and_pyplot_never() -> None:
    package = Path(explain.__file__).parents[1]
    for path in package.rglob("*.py"):
        assert not re.search(r"^(import|from) matplotlib", path.read_text(), re.MULTILINE), path
    # Without the rest of the package, which imports torch.
    code = (
        "import sys, types\n"
        "answer = sys.modules['videopipe.answer'] = types.ModuleType('videopipe.answer')\n"
        f"answer.__path__ = [{str(package / 'answer')!r}]\n"
        "from videopipe.answer import explain\n"
        "assert 'matplotlib' not in sys.modules\n"
        "explain.figure([])\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
