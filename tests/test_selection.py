"""Which frames a question is answered from: from the library's signals to what a model is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import Run
from openai_server import OpenAIServer, openai_server
from pictures import written
from tiny import tiny
from tiny_encoders import tiny_encoder
from videos import make_video

from videopipe import Library, index
from videopipe.answer.legibility import asks_for_text, readable_side
from videopipe.answer.pool import gather
from videopipe.config import Config, load
from videopipe.describe.ocr import Reader
from videopipe.library import load_embedder
from videopipe.select import methods
from videopipe.select.question import asks_about
from videopipe.select.relevance import fuse, spread, standardised
from videopipe.types import TimedText

SAID = [
    TimedText(2.0, 8.0, "The red lighthouse stands on the northern cliff."),
    TimedText(44.0, 48.0, "A whale swims past the harbour at noon."),
    TimedText(71.0, 76.0, "The fishing boats come home before the storm."),
]
WHALE = "When does the whale swim past the harbour?"
COLOURS = ((150, 0, 0), (0, 0, 150), (20, 140, 0), (150, 150, 150), (0, 0, 0))
QUICK = ["ocr.enabled=false", "clips.min_seconds=5", "clips.max_seconds=12", "run.executor=local"]


def scene(number: int, second: float) -> np.ndarray:
    """A textured view that slides; another one every twenty seconds."""
    rng = np.random.default_rng(int(second // 20))
    grain = rng.integers(0, 100, (45, 120, 1)).repeat(4, 0).repeat(4, 1)
    wide = (grain + COLOURS[int(second // 20)]).astype(np.uint8)
    start = int(second % 20 * 6)
    return np.ascontiguousarray(wide[:, start : start + 320])


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    return make_video(
        folder / "bay.mkv", seconds=90, rate=5, size=(320, 180), subtitles=SAID, draw=scene
    )


@pytest.fixture(scope="module")
def library(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library") / "lib"
    assert index(film, folder, config=load(overrides=QUICK).config).error() is None
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    for family in ("qwen2_5_vl", "internvl"):
        tiny(family, folder / family)
    tiny_encoder("clip", folder / "clip")
    return folder


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with openai_server("tiny-vl") as running:
        yield running


def asked(videopipe: Run, *words: object) -> Any:
    ran = videopipe("ask", *words, "--json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def times_of(found: Any) -> list[float]:
    return sorted(time for part in found["evidence"] for time in part["frame_times_s"])


def test_the_library_keeps_what_selection_needs(library: Path) -> None:
    with Library.open(library) as opened:
        (video,) = opened.videos()
        signals = opened.signals(video.video_id)
    assert len(signals["times"]) == len(signals["complexity"]) == 90
    np.testing.assert_allclose(signals["cuts"], [20, 40, 60, 80], atol=1.0)
    offsets, ids = signals["landmarks.offsets"], signals["landmarks.ids"]
    assert len(offsets) == 91
    shared = set(ids[offsets[3] : offsets[4]]) & set(ids[offsets[4] : offsets[5]])
    assert len(shared) > 20  # the view slides slowly
    assert not set(ids[offsets[19] : offsets[20]]) & set(ids[offsets[20] : offsets[21]])


def test_relevance_peaks_where_the_evidence_is_said(library: Path, film: Path) -> None:
    with Library.open(library) as opened:
        pool = gather([WHALE], opened, opened.videos(), load_embedder(), Config())
        best = pool.times[pool.candidates.scores.argmax()]
        assert 43 <= best <= 49
        inside = (pool.times >= 43) & (pool.times < 49)
        assert pool.candidates.scores[inside].min() > 2 * pool.candidates.scores[~inside].max()
        assert list(pool.signals) == ["text"]
        for row, second in enumerate(pool.times):
            clip = pool.clips[pool.clip[row]]
            assert clip.start - 0.01 <= second < clip.end


def test_two_videos_are_on_one_clock(library: Path, film: Path, tmp_path: Path) -> None:
    other = make_video(tmp_path / "other.mkv", seconds=12, rate=5, size=(320, 180))
    config = load(overrides=QUICK).config
    assert index([film, other], tmp_path / "lib", config=config).error() is None
    with Library.open(tmp_path / "lib") as opened:
        videos = opened.videos()
        pool = gather([WHALE, f"{WHALE} noon"], opened, videos, load_embedder(), Config())
        clock = pool.candidates.times
        assert (np.diff(clock) > 0).all()
        assert np.bincount(pool.owner).tolist() == [90, 12]
        assert pool.videos[pool.owner[pool.candidates.scores.argmax()]].name == "bay.mkv"
        landmarks = pool.candidates.landmarks
        assert landmarks is not None
        assert len(landmarks) == 102
        shots = pool.candidates.shots()
        assert shots[89] != shots[90]


@pytest.mark.parametrize("method", methods())
def test_every_selector_answers_within_the_budget(
    method: str, videopipe: Run, film: Path, library: Path, models: Path
) -> None:
    found = asked(
        videopipe, film, WHALE, "--library", library, "--model", models / "qwen2_5_vl",
        "--select", method, "--budget", 400, "--set", "model.max_new_tokens=2",
    )  # fmt: skip
    assert 0.9 * 400 <= found["budget"]["used"] <= 400
    assert found["selection"]["method"] == method
    assert found["selection"]["signals"] == ["text"]
    times = times_of(found)
    assert len(times) == found["budget"]["frames"] >= 8
    assert times == sorted(set(times))
    if method not in ("uniform", "space-aware", "quota"):
        assert any(43 <= time <= 49 for time in times)


def test_auto_looks_where_it_is_said_and_shows_that_larger(
    videopipe: Run, server: OpenAIServer, film: Path, library: Path
) -> None:
    found = asked(
        videopipe, film, WHALE, "--library", library, "--model", "openai:tiny-vl",
        "--base-url", server.url, "--budget", 900, "--set", "budget.frames=32",
    )  # fmt: skip
    times = times_of(found)
    assert sum(43 <= time <= 49 for time in times) >= 6
    assert min(times) < 20  # and the overview is there
    assert max(times) > 75
    images = [part for part in server.state().parts if part["type"] == "image"]
    area = {time: image["width"] * image["height"]
            for time, image in zip(times, images, strict=True)}  # fmt: skip
    whale = [size for time, size in area.items() if 43 <= time <= 49]
    rest = [size for time, size in area.items() if time < 40 or time > 78]
    assert np.mean(whale) > 2 * np.mean(rest)
    assert "relevant stretch" in found["selection"]["why"][0]


def test_a_question_about_space_covers_the_scene(
    videopipe: Run, server: OpenAIServer, film: Path, library: Path
) -> None:
    found = asked(
        videopipe, film, "How are the rooms arranged, what is next to the door?", "--library",
        library, "--model", "openai:tiny-vl", "--base-url", server.url,
        "--set", "budget.frames=10",
    )  # fmt: skip
    assert "space" in found["selection"]["why"][0]
    shots = {round(time) // 20 for time in times_of(found)}
    assert shots == {0, 1, 2, 3, 4}


def test_frames_are_encoded_once(
    videopipe: Run, film: Path, library: Path, models: Path, tmp_path: Path
) -> None:
    config = load(overrides=[*QUICK, f"encoder.model={models / 'clip'}"]).config
    assert index(film, tmp_path / "lib", config=config).error() is None
    ask = ["--model", models / "qwen2_5_vl", "--encoder", models / "clip", "--budget", "200",
           "--set", "model.max_new_tokens=2"]  # fmt: skip
    with Library.open(tmp_path / "lib") as opened:
        (video,) = opened.videos()
        vectors = opened.signals(video.video_id, ["vectors"])["vectors"]
    assert vectors.shape == (90, 24)
    assert vectors.dtype == np.float16
    ran = videopipe("ask", film, WHALE, "--library", tmp_path / "lib", *ask)
    assert ran.code == 0
    assert "encoding" not in ran.err  # they are there
    plain = tmp_path / "plain"
    assert index(film, plain, config=load(overrides=QUICK).config).error() is None
    ran = videopipe("ask", film, WHALE, "--library", plain, *ask)
    assert "encoding the frames of bay.mkv" in ran.err
    found = asked(videopipe, film, WHALE, "--library", plain, *ask)
    assert found["selection"]["signals"] == ["frames", "text"]
    with Library.open(plain) as opened:
        (video,) = opened.videos()
        later = opened.signals(video.video_id, ["vectors"])["vectors"]
    # The scan gave these frames, or their neighbours that are cheaper to decode.
    assert (vectors.astype(float) * later.astype(float)).sum(1).mean() > 0.99


def test_focus_looks_at_few_frames(videopipe: Run, film: Path, library: Path, models: Path) -> None:
    found = asked(
        videopipe, film, WHALE, "--library", library, "--model", models / "internvl",
        "--encoder", models / "clip", "--select", "focus", "--budget", 200,
        "--set", "model.max_new_tokens=2",
    )  # fmt: skip
    looked = int(found["selection"]["why"][0].split()[2])
    assert 20 <= looked < 80  # of the 90 that were scanned
    with Library.open(library) as opened:
        (video,) = opened.videos()
        assert "vectors" not in opened.signals(video.video_id)


def test_the_model_may_score_frames_first(
    videopipe: Run, server: OpenAIServer, film: Path, library: Path
) -> None:
    server.behave(first=["It must be seen.\nTHINGS: a whale, the harbour"], answer="A")
    found = asked(
        videopipe, film, WHALE, "--library", library, "--model", "openai:tiny-vl",
        "--base-url", server.url, "--set", "select.model_frames=6",
    )  # fmt: skip
    assert found["selection"]["signals"] == ["model", "text"]
    assert server.state().requests == 1 + 6 + 1


def test_a_second_look_stays_within_the_budget(
    videopipe: Run, server: OpenAIServer, film: Path, library: Path
) -> None:
    server.behave(first=["The video does not show this."], answer="At noon [E1].")
    found = asked(
        videopipe, film, WHALE, "--library", library, "--model", "openai:tiny-vl",
        "--base-url", server.url, "--second-look", "--budget", 400,
    )  # fmt: skip
    first, second = found["selection"]["looks"]
    assert second["why"] == "the model did not find it"
    assert first["used"] <= 100
    assert found["budget"]["used"] == first["used"] + second["used"] <= 400
    assert second["used"] > 2 * first["used"]
    assert found["answer"] == "At noon [1]."
    (part,) = found["evidence"]
    assert part["start_s"] < 47
    assert part["end_s"] > 44
    assert all(42 <= time <= 50 for time in part["frame_times_s"])


@pytest.mark.parametrize(
    ("first", "why"),
    [
        ("LOOK [E2]", "the model asked for a closer look"),
        ("It is too small to read [E1].", "the model could not see it clearly"),
        ("A whale passes [E1].", None),
    ],
)
def test_what_makes_it_look_again(
    first: str, why: str | None, videopipe: Run, server: OpenAIServer, film: Path, library: Path
) -> None:
    server.behave(first=[first], answer="At noon [E1].")
    found = asked(
        videopipe, film, WHALE, "--library", library, "--model", "openai:tiny-vl",
        "--base-url", server.url, "--second-look",
    )  # fmt: skip
    looks = found["selection"]["looks"]
    assert [look["why"] for look in looks] == ([None] if why is None else [None, why])
    assert found["answer"] == ("A whale passes [1]." if why is None else "At noon [1].")


def test_a_second_look_that_finds_nothing_leaves_the_first_answer(
    videopipe: Run, server: OpenAIServer, film: Path, library: Path
) -> None:
    server.behave(first=["It cannot be seen clearly [E1]."], answer="The video does not show this.")
    found = asked(
        videopipe, film, WHALE, "--library", library, "--model", "openai:tiny-vl",
        "--base-url", server.url, "--second-look",
    )  # fmt: skip
    assert found["answer"] == "It cannot be seen clearly [1]."
    assert len(found["selection"]["looks"]) == 2


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A film with small print in one corner, and its library."""

    def draw(number: int, second: float) -> np.ndarray:
        lines = ["Serial number KX-4417 of the pump"] if second >= 10 else []
        return written(lines, 235, points=22, at=(60, 640))

    folder = tmp_path_factory.mktemp("slides")
    film = make_video(folder / "pump.mkv", seconds=20, rate=2, size=(1280, 720), draw=draw)
    config = load(overrides=["clips.min_seconds=5", "clips.max_seconds=12", "run.executor=local"])
    assert index(film, folder / "lib", config=config.config).error() is None
    return film, folder / "lib"


def test_text_that_is_asked_for_is_shown_so_that_it_can_be_read(
    videopipe: Run, server: OpenAIServer, slides: tuple[Path, Path]
) -> None:
    film, library = slides
    common = [film, "What serial number is written on the screen?", "--library", library,
              "--model", "openai:tiny-vl", "--base-url", server.url, "--budget", 420,
              "--select", "uniform", "--set", "budget.frames=8"]  # fmt: skip

    def smallest(*more: object) -> int:
        asked(videopipe, *common, *more)
        images = [part for part in server.state().parts if part["type"] == "image"]
        assert images
        return max(min(image["width"], image["height"]) for image in images)

    assert smallest() > smallest("--set", "select.legible=false")


def test_a_close_look_at_text_cuts_it_out(
    videopipe: Run, server: OpenAIServer, slides: tuple[Path, Path]
) -> None:
    film, library = slides
    server.behave(first=["The text is too small to read."], answer="KX-4417 [E1].")
    found = asked(
        videopipe, film, "What serial number is written on the screen?", "--library", library,
        "--model", "openai:tiny-vl", "--base-url", server.url, "--second-look",
    )  # fmt: skip
    assert found["answer"] == "KX-4417 [1]."
    images = [part for part in server.state().parts if part["type"] == "image"]
    assert all(image["width"] > 2 * image["height"] for image in images)  # a strip of the frame


def test_the_readable_size_is_found_by_reading() -> None:
    reader = Reader()
    text = "Serial number KX-4417"
    small, large = (written([text], 235, points=points) for points in (22, 90))
    assert readable_side(large, text, 140, reader) == 140
    assert 140 < readable_side(small, text, 140, reader) <= 360
    assert readable_side(small, "something else is written", 140, reader) == 720


def test_signals_are_on_one_scale() -> None:
    times = np.arange(10.0)
    curve = spread(times, [(2.0, 4.0, 0.5), (3.0, 8.0, 0.3)], 0.5)
    assert curve.round(2).tolist() == [0, 0, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3, 0.3, 0]
    rng = np.random.default_rng(0)
    for level, width in ((0.25, 0.02), (0.1, 0.01), (12.0, 1.5)):
        cosines = rng.normal(level, width, 3600)
        cosines[100] = level + 12 * width
        scaled = standardised(cosines)
        assert scaled[100] > 0.98
        assert np.median(scaled) < 0.02
        assert (np.argsort(scaled) == np.argsort(cosines)).all()
    joined = fuse({"text": np.array([0.5, 0.0, 1.0]), "frames": np.array([0.5, 0.2, 0.0])})
    assert joined.tolist() == [0.75, pytest.approx(0.2), 1.0]


@pytest.mark.parametrize(
    ("question", "asks"),
    [
        ("What is the layout of the flat?", "space"),
        ("Which room is next to the kitchen?", "space"),
        ("How far is the sofa from the window?", "space"),
        ("Summarise the lecture.", "overview"),
        ("What is this film about?", "overview"),
        ("How does the weather change over the course of the film?", "overview"),
        ("Where does the wedding take place?", "content"),
        ("How many different scenes show a car?", "content"),
        ("What does the man behind the counter say?", "content"),
        ("What is in the room service menu?", "content"),
        ("What is behind the counter?", "space"),
        ("Where is the lamp relative to the sofa?", "space"),
        ("When does the whale swim past?", "content"),
        ("Who wins the match?", "content"),
    ],
)
def test_what_is_asked_about_is_told_by_the_words(question: str, asks: str) -> None:
    assert asks_about(question) == asks


def test_questions_about_text_are_told_by_the_words() -> None:
    assert asks_for_text("What is written on the board?")
    assert asks_for_text("Which number is on the licence plate?")
    assert not asks_for_text("How many people are there?")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--select", "magic"], 2, "There is no selector 'magic'; there are aks, auto"),
        (["--encoder", "./nowhere"], 4, "nowhere"),
        (["--set", "select.resolution=huge"], 2, "select.resolution must be one of"),
        (["--explain", "plot.xyz"], 2, "plot.xyz"),
    ],
)
def test_mistakes_get_a_sentence(
    words: list[str], code: int, says: str, videopipe: Run, film: Path, library: Path, models: Path
) -> None:
    common = ["--library", library, "--model", models / "internvl"]
    ran = videopipe("ask", film, WHALE, *common, *words)
    assert ran.code == code, ran.err
    assert says in ran.err.strip().splitlines()[-1]
    assert ran.out == ""


def test_a_selector_without_its_signal_says_what_to_do(
    videopipe: Run, film: Path, models: Path, tmp_path: Path
) -> None:
    config = load(overrides=[*QUICK, "scan.landmarks=false"]).config
    assert index(film, tmp_path / "lib", config=config).error() is None
    ran = videopipe("ask", film, WHALE, "--library", tmp_path / "lib", "--select", "space-aware",
                    "--model", models / "internvl")  # fmt: skip
    assert ran.code == 2
    assert "needs landmarks" in ran.err
    assert "scan.landmarks=true" in ran.err


def test_the_choice_is_drawn(
    videopipe: Run, film: Path, library: Path, models: Path, tmp_path: Path
) -> None:
    for name, more in (("quotes.png", []), ("frames.svg", ["--model", models / "internvl"])):
        ran = videopipe("ask", film, WHALE, "--library", library, "--explain", tmp_path / name,
                        "--set", "model.max_new_tokens=2", *more)  # fmt: skip
        assert ran.code == 0, ran.err
        assert (tmp_path / name).stat().st_size > 5000
    picture = cv2.imread(str(tmp_path / "quotes.png"))
    assert picture.shape[1] > 1000


def test_methods_are_listed(videopipe: Run) -> None:
    listed = videopipe("methods", "--json").json["methods"]
    assert [row["name"] for row in listed if row["kind"] == "selector"] == list(methods())
    assert all(row["summary"] for row in listed)
    f2c = videopipe("methods", "f2c")
    assert "arXiv 2510.02262" in f2c.out
    assert "s_max = 2.0" in f2c.out
    ran = videopipe("methods", "magic")
    assert ran.code == 2
    assert "there are aks" in ran.err


@pytest.mark.parametrize(
    ("said", "choices", "answer", "looks"),
    [
        (["LOOK [E1]", "The video does not show this."], None, None, 2),
        (["LOOK [E1]", "LOOK [E1]"], None, "LOOK [1]", 2),
        (["maybe", "It is hard to say."], "at noon|at night", None, 2),
        (["maybe", "B"], "at noon|at night", 1, 2),
    ],
)
def test_what_two_looks_come_to(
    said: list[str], choices: str | None, answer: str | int | None, looks: int,
    videopipe: Run, server: OpenAIServer, film: Path, library: Path,
) -> None:  # fmt: skip
    server.behave(first=said)
    more = [] if choices is None else ["--choices", choices]
    found = asked(
        videopipe, film, WHALE, "--library", library, "--model", "openai:tiny-vl",
        "--base-url", server.url, "--second-look", *more,
    )  # fmt: skip
    assert len(found["selection"]["looks"]) == looks
    if isinstance(answer, str):
        assert found["answer"] == answer
    else:
        assert found["choice"] == answer
        assert found["found"] == (answer is not None)


def test_an_answer_survives_a_second_look_that_fails(
    videopipe: Run, server: OpenAIServer, film: Path, library: Path
) -> None:
    server.behave(first=["It cannot be seen clearly [E1]."], hang_after=1)
    found = asked(
        videopipe, film, WHALE, "--library", library, "--model", "openai:tiny-vl",
        "--base-url", server.url, "--second-look", "--set", "model.time_limit_seconds=2",
    )  # fmt: skip
    assert found["answer"] == "It cannot be seen clearly [1]."
    assert any("there was no second look" in warning for warning in found["warnings"])


def test_a_second_look_that_would_show_no_more_is_spared(
    videopipe: Run, server: OpenAIServer, film: Path, library: Path
) -> None:
    server.behave(answer="The video does not show this.")
    for budget in (1, 20_000):  # nothing is left, and everything was seen at full size
        found = asked(
            videopipe, film, WHALE, "--library", library, "--model", "openai:tiny-vl",
            "--base-url", server.url, "--second-look", "--budget", budget,
        )  # fmt: skip
        assert len(found["selection"]["looks"]) == 1
        assert found["budget"]["used"] <= budget


def test_what_changes_slowly_is_no_copy(
    videopipe: Run, server: OpenAIServer, tmp_path: Path
) -> None:
    def fade(number: int, second: float) -> np.ndarray:
        return np.full((90, 160, 3), 40 + int(second * 3), np.uint8)

    film = make_video(tmp_path / "fade.mkv", seconds=50, rate=2, size=(160, 90), draw=fade)
    found = asked(
        videopipe, film, "What colour is it?", "--library", tmp_path / "lib", "--model",
        "openai:tiny-vl", "--base-url", server.url, "--set", "budget.frames=16",
        "--set", "ocr.enabled=false",
    )  # fmt: skip
    assert len(times_of(found)) == 16
    still = make_video(
        tmp_path / "still.mkv", seconds=50, rate=2, size=(160, 90), draw=lambda n, s: fade(n, 0)
    )
    found = asked(
        videopipe, still, "What colour is it?", "--library", tmp_path / "lib", "--model",
        "openai:tiny-vl", "--base-url", server.url, "--set", "budget.frames=16",
        "--set", "ocr.enabled=false",
    )  # fmt: skip
    assert len(times_of(found)) < 8
    assert any("show the same" in why for why in found["selection"]["why"])


def test_of_many_videos_without_a_match_even_ones_are_looked_at(
    videopipe: Run, server: OpenAIServer, models: Path, tmp_path: Path
) -> None:
    for number in range(9):
        colour = (20 * number, 200 - 20 * number, 90)
        make_video(
            tmp_path / f"v{number}.mkv", seconds=3, rate=2, size=(96, 64),
            draw=lambda n, s, colour=colour: np.full((64, 96, 3), colour, np.uint8),
        )  # fmt: skip
    files = sorted(tmp_path.glob("*.mkv"))
    config = load(overrides=[*QUICK, "facts.enabled=false", "run.workers=1"]).config
    for file in files:
        assert index(file, tmp_path / "lib", config=config).error() is None
    common = ["--library", tmp_path / "lib", "--model", "openai:tiny-vl", "--base-url", server.url]
    found = asked(videopipe, "Who sings?", *common, "-k", 3)
    shown = [Path(part["video"]["path"]).stem for part in found["evidence"]]
    assert shown == ["v1", "v4", "v7"]
    assert any("3 of 9 videos" in warning for warning in found["warnings"])
