"""The pixel path, from the command line to a model: tiny checkpoints, and a server process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Run
from openai_server import OpenAIServer, openai_server
from tiny import FAMILIES, tiny
from videos import make_video, read_number

from videopipe import Library, ask
from videopipe.answer.parts import Part
from videopipe.answer.parts import Run as Shown
from videopipe.answer.pictures import pictures_of
from videopipe.answer.prompts import ABSTENTION
from videopipe.config import Config, load
from videopipe.mllm import View
from videopipe.mllm import load as load_model
from videopipe.mllm.local_viewer import LocalViewer
from videopipe.types import TimedText

SAID = [
    TimedText(2.0, 8.0, "The red lighthouse stands on the northern cliff."),
    TimedText(14.0, 18.0, "A whale swims past the harbour at noon."),
    TimedText(26.0, 30.0, "Nobody mentions <|video_pad|> [E1] in the storm."),
]
QUICK = ["--set", "ocr.enabled=false", "--set", "clips.min_seconds=5", "--set",
         "clips.max_seconds=12", "--set", "run.executor=local"]  # fmt: skip
WHALE = "When does the whale swim past the harbour?"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    return make_video(folder / "harbour.mkv", seconds=36, rate=10, size=(320, 180), subtitles=SAID)


@pytest.fixture(scope="module")
def library(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from videopipe import index

    folder = tmp_path_factory.mktemp("library") / "lib"
    config = load(overrides=[word for word in QUICK if word != "--set"]).config
    assert index(film, folder, config=config).error() is None
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    for family in FAMILIES:
        tiny(family, folder / family)
    return folder


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with openai_server("tiny-vl") as running:
        yield running


def asked(videopipe: Run, *words: object) -> Any:
    ran = videopipe("ask", *words, "--json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("budget", [64, 700])
def test_every_family_answers_within_its_budget(
    family: str, budget: int, videopipe: Run, film: Path, library: Path, models: Path
) -> None:
    found = asked(
        videopipe, film, WHALE, "--library", library, "--model", models / family,
        "--budget", budget, "--set", "model.max_new_tokens=8", "-k", 2,
    )  # fmt: skip
    report = found["budget"]
    assert 0.9 * min(budget, report["encoded"]) <= report["used"] <= budget
    assert report["frames"] == sum(len(part["frame_times_s"]) for part in found["evidence"])
    assert found["generation"]["new_tokens"] <= 8
    assert found["model"] == str(models / family)
    whale = [part for part in found["evidence"] if part["start_s"] < 18 and part["end_s"] > 14]
    assert whale, "the clip in which it is said is shown"
    for part in found["evidence"]:
        for time in part["frame_times_s"]:
            assert part["start_s"] - 0.2 <= time < part["end_s"]


def test_marks_become_citations_with_the_times_of_the_video(
    videopipe: Run, server: OpenAIServer, film: Path, library: Path, tmp_path: Path
) -> None:
    server.behave(answer="<think>[E1]?</think>It does [e2, E7], and the tower is red (E1). [E99]")
    found = asked(
        videopipe, film, WHALE, "--library", library, "--model", "openai:tiny-vl",
        "--base-url", server.url, "--frames", tmp_path / "stills", "-k", 2,
    )  # fmt: skip
    assert found["answer"] == "It does [1], and the tower is red [2]."
    second, first = found["citations"]
    assert [first["number"], second["number"]] == [2, 1]
    shown = found["evidence"]
    assert (second["start_s"], second["end_s"]) == (shown[1]["start_s"], shown[1]["end_s"])
    assert second["source"] == "frames"
    assert (first["start_s"], first["end_s"]) == (shown[0]["start_s"], shown[0]["end_s"])
    assert "lighthouse" in first["text"]
    assert all(Path(c["frame"]["path"]).exists() for c in found["citations"])
    assert found["found"]


def test_the_model_is_shown_the_frames_of_its_clips_in_order(
    videopipe: Run, server: OpenAIServer, film: Path, library: Path
) -> None:
    found = asked(
        videopipe, film, WHALE, "--library", library, "--model", "openai:tiny-vl",
        "--base-url", server.url, "--budget", 640, "--set", "budget.frames=12", "-k", 3,
    )  # fmt: skip
    parts = server.state().parts
    images = [part for part in parts if part["type"] == "image"]
    assert len(images) == found["budget"]["frames"] == 12
    tokens = sum(part["width"] * part["height"] // 784 for part in images)
    assert tokens == found["budget"]["used"] <= 640
    texts = [part["text"] for part in parts if part["type"] == "text"]
    marks = [text for text in texts if "[E" in text and "–" in text]
    assert "[E1 " in marks[0]
    times = [time for part in found["evidence"] for time in part["frame_times_s"]]
    assert times == sorted(times)
    # What is said is quoted, and cannot pass for a mark or a placeholder of ours.
    whole = "\n".join(texts)
    assert "Said: A whale swims past the harbour at noon." in whole
    assert "<|video_pad|>" not in whole


def test_thoughts_alone_are_not_an_answer(
    videopipe: Run, server: OpenAIServer, film: Path, library: Path
) -> None:
    server.behave(answer="<think>Is it the whale [E1]?", finish="length")
    found = asked(
        videopipe, film, WHALE, "--library", library, "--model", "openai:tiny-vl",
        "--base-url", server.url,
    )  # fmt: skip
    assert not found["found"]
    assert found["answer"] == "The model gave no answer."
    assert found["citations"] == []
    assert any("raise model.max_new_tokens" in warning for warning in found["warnings"])


def test_an_abstention_is_not_an_answer(
    videopipe: Run, server: OpenAIServer, film: Path, library: Path
) -> None:
    server.behave(answer="This video doesn't show that. [E1]")
    found = asked(
        videopipe, film, "Who wins the chess match?", "--library", library,
        "--model", "openai:tiny-vl", "--base-url", server.url,
    )  # fmt: skip
    assert not found["found"]
    assert found["answer"] == ABSTENTION
    assert found["citations"] == []


@pytest.mark.parametrize(
    ("said", "choice"),
    [
        ("B", 1),
        ("The answer is (C).", 2),
        ("**A. red**", 0),
        ("green, I think", 1),
        ("maybe", None),
    ],
)
def test_a_choice_is_read_from_the_letter(
    said: str, choice: int | None, videopipe: Run, server: OpenAIServer, film: Path, library: Path
) -> None:
    server.behave(answer=said)
    found = asked(
        videopipe, film, "What colour is the lighthouse?", "--library", library,
        "--choices", "red|green|blue", "--model", "openai:tiny-vl", "--base-url", server.url,
    )  # fmt: skip
    assert found["choice"] == choice
    assert found["found"] == (choice is not None)
    assert ("the model named none of the choices" in found["warnings"]) == (choice is None)
    prompt = server.state().parts[-1]["text"]
    assert "A. red\nB. green\nC. blue\n" in prompt
    assert "Answer with the option's letter from the given choices directly." in prompt


def test_the_text_of_the_clips_has_a_budget_of_its_own(
    videopipe: Run, server: OpenAIServer, film: Path, library: Path
) -> None:
    common = ["--library", library, "--model", "openai:tiny-vl", "--base-url", server.url]
    found = asked(videopipe, film, WHALE, *common, "--set", "budget.text_tokens=0")
    assert found["budget"]["text_tokens"] == 0
    assert "Said:" not in str(server.state().parts)
    found = asked(videopipe, film, WHALE, *common, "--set", "budget.text_tokens=24")
    assert 0 < found["budget"]["text_tokens"] <= 24


def test_a_reply_that_cites_nothing_is_flagged(
    videopipe: Run, server: OpenAIServer, film: Path, library: Path
) -> None:
    server.behave(answer="At noon.")
    ran = videopipe(
        "ask", film, WHALE, "--library", library, "--model", "openai:tiny-vl",
        "--base-url", server.url,
    )  # fmt: skip
    assert ran.code == 0
    assert "cited no part of the video" in ran.err
    assert ran.out.startswith("At noon.\n\nlooked at\n    [0:00:")
    assert "visual tokens (none)" in ran.out


@pytest.mark.parametrize("compressor", ["none", "pool", "quota", "uniform"])
def test_compressors_of_the_command_line(
    compressor: str, videopipe: Run, film: Path, library: Path, models: Path
) -> None:
    found = asked(
        videopipe, film, WHALE, "--library", library, "--model", models / "qwen3_vl",
        "--compressor", compressor, "--budget", 200, "--set", "model.max_new_tokens=4",
    )  # fmt: skip
    report = found["budget"]
    assert report["compressor"] == compressor
    assert 180 <= report["used"] <= 200
    assert report["encoded"] > 2 * 200 if compressor != "none" else report["encoded"] <= 200


def test_the_same_question_gets_the_same_answer(film: Path, library: Path, models: Path) -> None:
    config = load(overrides=["model.max_new_tokens=16", "budget.tokens=128"]).config
    model = str(models / "qwen2_5_vl")
    pieces: list[str] = []
    first = ask(WHALE, film, library, model=model, config=config, on_text=pieces.append)
    again = ask(WHALE, film, library, model=model, config=config)
    assert first.text == again.text
    assert first.generation["stopped_by"] == again.generation["stopped_by"]
    assert first.text in "".join(pieces)
    assert config.hash() != Config().hash()


def test_frames_reach_the_model_at_the_planned_sizes(
    film: Path, library: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[View] = []
    look = LocalViewer.look

    def spy(self: Any, views: Any, **limits: Any) -> Any:
        seen.extend(views)
        return look(self, views, **limits)

    monkeypatch.setattr(LocalViewer, "look", spy)
    config = load(overrides=["model.max_new_tokens=2", "budget.tokens=300"]).config
    ask(WHALE, film, library, model=str(models / "qwen2_5_vl"), config=config)
    (view,) = seen
    for clip, frames in zip(view.plan.clips, view.clips, strict=True):
        assert [picture.shape[:2] for picture in frames.frames] == list(clip.sizes)
        for time, picture in zip(frames.times, frames.frames, strict=True):
            if picture.shape[1] >= 112:  # the number can be read
                assert abs(read_number(np.asarray(picture)) - time * 10) <= 1


def test_what_was_indexed_stays_whatever_is_asked(
    videopipe: Run, film: Path, library: Path, models: Path
) -> None:
    before = Library.open(library)
    held = before.videos()[0].config_hash
    before.close()
    asked(
        videopipe, film, WHALE, "--library", library, "--model", models / "internvl",
        "--set", "model.max_new_tokens=2", "--set", "scan.rate=2",
    )  # fmt: skip
    after = Library.open(library)
    assert after.videos()[0].config_hash == held
    after.close()


def test_a_video_that_is_gone_is_told(
    videopipe: Run, film: Path, models: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(film, tmp_path / "copy.mkv"))
    assert videopipe("index", copy, "--library", tmp_path / "lib", *QUICK).code == 0
    copy.unlink()
    ran = videopipe("ask", "--library", tmp_path / "lib", WHALE, "--model", models / "gemma3")
    assert ran.code == 4
    assert "is not there any more" in ran.err


def test_a_choice_has_pictures_of_what_was_looked_at(
    videopipe: Run, server: OpenAIServer, film: Path, library: Path, tmp_path: Path
) -> None:
    server.behave(answer="A")
    found = asked(
        videopipe, film, WHALE, "--library", library, "--choices", "at noon|at night", "-k", 2,
        "--model", "openai:tiny-vl", "--base-url", server.url, "--frames", tmp_path / "stills",
    )  # fmt: skip
    assert found["choice"] == 0
    assert found["budget"]["estimated"]
    for part in found["evidence"]:
        second = float(Path(part["frame"]).stem.rpartition("_")[2].removesuffix("s"))
        assert any(abs(second - time) < 0.01 for time in part["frame_times_s"])


def test_the_text_that_fits_the_question_is_kept(
    videopipe: Run, server: OpenAIServer, tmp_path: Path
) -> None:
    said = [TimedText(i, i + 1.0, f"Item {i} of the list is a chair.") for i in range(20)]
    said.append(TimedText(20, 21, "A whale swims past the harbour at noon."))
    film = make_video(tmp_path / "list.mkv", seconds=22, rate=5, subtitles=said)
    asked(
        videopipe, film, WHALE, "--library", tmp_path / "lib", *QUICK, "--model",
        "openai:tiny-vl", "--base-url", server.url, "--set", "budget.text_tokens=60",
    )  # fmt: skip
    assert "A whale swims past the harbour" in str(server.state().parts)


def test_films_of_one_name_are_told_apart(
    videopipe: Run, server: OpenAIServer, tmp_path: Path
) -> None:
    for folder, seconds in (("a", 6), ("b", 7)):
        (tmp_path / folder).mkdir()
        make_video(
            tmp_path / folder / "film.mkv", seconds=seconds, rate=5,
            subtitles=[TimedText(1, 3, "A whale swims past the harbour.")],
        )  # fmt: skip
    library = tmp_path / "lib"
    assert videopipe("index", tmp_path / "a", tmp_path / "b", "--library", library, *QUICK,
                     "--set", "run.workers=1").code == 0  # fmt: skip
    asked(videopipe, "--library", library, WHALE, "--model", "openai:tiny-vl",
          "--base-url", server.url)  # fmt: skip
    prompt = "\n".join(part["text"] for part in server.state().parts if part["type"] == "text")
    assert "parts of videos" in prompt
    assert str(tmp_path / "a" / "film.mkv") in prompt
    assert prompt.count("A whale swims past") == 2


@pytest.mark.media
def test_what_is_damaged_is_left_out(
    videopipe: Run, media: Path, models: Path, tmp_path: Path
) -> None:
    found = asked(
        videopipe, media / "decord_corrupted.mp4", "What is seen?", "--library", tmp_path / "lib",
        "--model", models / "qwen3_vl", "--set", "model.max_new_tokens=4", *QUICK,
    )  # fmt: skip
    assert found["budget"]["frames"] > 0  # those that the scan could decode
    # Frames that cannot be decoded any more are left out, the others are shown.
    viewer = LocalViewer(load_model(str(models / "qwen3_vl")))
    warnings: list[str] = []
    with Library.open(tmp_path / "lib") as library:
        (video,) = library.videos()
        (clip, *_) = library.clips(video.video_id)
        times = np.array([0.2, 0.6, *np.arange(1.0, video.duration, 0.3)])
        part = Part(video, clip, 1.0, (Shown(times, np.ones(len(times))),))
        parts, plan, pictures = pictures_of(viewer, [part], 500, library, Config(), warnings)
    assert any("cannot be decoded" in warning for warning in warnings)
    assert 2 <= plan.frames == len(pictures[0]) < len(times)
    assert set(parts[0].times) < set(times)


def test_nothing_is_indexed_for_a_model_that_is_not_there(
    videopipe: Run, film: Path, tmp_path: Path
) -> None:
    ran = videopipe("ask", film, WHALE, "--library", tmp_path / "lib", "--model", "./nowhere")
    assert ran.code == 4
    assert "indexed" not in ran.err
    ran = videopipe("index", film, "--library", tmp_path / "lib", "--model", "./nowhere")
    assert ran.code == 2
    assert "--describe vlm" in ran.err


def test_time_that_is_up_is_told(
    videopipe: Run, server: OpenAIServer, film: Path, library: Path, models: Path
) -> None:
    def limited(seconds: float, *model: object) -> Any:
        limit = f"model.time_limit_seconds={seconds}"
        return videopipe("ask", film, WHALE, "--library", library, "--set", limit, *model)

    ran = limited(0.001, "--model", models / "qwen3_vl")  # which the frames take already
    assert ran.code == 7
    assert "said nothing within 0.001 s" in ran.err
    server.behave(hang_for="whale")
    assert limited(0.3, "--model", "openai:tiny-vl", "--base-url", server.url).code == 7


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--model", "NOWHERE/model"], 5, "NOWHERE/model"),
        (["--model", "./nowhere"], 4, "nowhere"),
        (["--model", "openai:x", "--base-url", "ftp://a"], 2, "http"),
        (["--model", "openai:x", "--base-url", "http://127.0.0.1:9/v1",
          "--set", "model.retries=0"], 5, "127.0.0.1:9"),
        (["--model", "QWEN", "--compressor", "magic"], 2, "magic"),
        (["--model", "QWEN", "--base-url", "http://127.0.0.1:9"], 2, "openai:"),
        (["--model", "LLAVA", "--budget", "8", "--compressor", "none"], 2, "raise the budget"),
        (["--model", "QWEN", "--budget", "0"], 2, "budget.tokens"),
    ],
)  # fmt: skip
def test_mistakes_get_a_sentence(
    words: list[str], code: int, says: str, videopipe: Run, film: Path, library: Path, models: Path
) -> None:
    named = {"QWEN": str(models / "qwen3_vl"), "LLAVA": str(models / "llava_onevision")}
    ran = videopipe("ask", film, WHALE, "--library", library, *(named.get(w, w) for w in words))
    assert ran.code == code, ran.err
    assert says in ran.err.strip().splitlines()[-1]
    assert ran.out == ""
