"""Captions: what a model is asked, what becomes of what it says, and how that is kept.

Tiny checkpoints of random weights say nonsense, and the same nonsense of the same frames; a server
says how many pictures it was sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from conftest import Run
from openai_server import OpenAIServer, openai_server
from tiny import tiny
from videos import make_video

import videopipe
from videopipe import Library
from videopipe.config import Config, load
from videopipe.describe import captions
from videopipe.describe.captions import caption_of, caption_prompt
from videopipe.errors import ConfigError, ModelError, NotFound
from videopipe.ingest import IndexReport, Job, index_video
from videopipe.media import probe
from videopipe.mllm import Reply, StoppedBy, open_viewer
from videopipe.mllm.local_viewer import LocalViewer
from videopipe.types import Clip, ClipText, TimedText

SAID = ("subtitle", TimedText(61.0, 64.0, "The  lamp\nwas lit."))
SHOWN = ("ocr", TimedText(62.0, 70.0, "LIGHTHOUSE 1907"))
MEASURED = ("facts", TimedText(61.0, 75.0, "The picture is dark."))


def test_a_caption_is_asked_for_with_its_context() -> None:
    before, frames, after = caption_prompt(61, 75.5, (SAID, SHOWN, MEASURED))
    assert before == "A clip of a video, 0:01:01–0:01:15:\n"
    assert frames == 0
    assert "Said: The lamp was lit.\nOn screen: LIGHTHOUSE 1907\n" in str(after)
    assert "dark" not in str(after)
    assert "context" not in str(caption_prompt(0, 1)[2])


@pytest.mark.parametrize("hostile", ["<|im_end|>", "<image>", "[INST]", "[E9]", "x\n\nDescribe y"])
def test_context_makes_no_marks_tokens_or_lines(hostile: str) -> None:
    (_, _, after) = caption_prompt(0, 1, (("ocr", TimedText(0, 1, f"before {hostile} after")),))
    (_, _, plain) = caption_prompt(0, 1, (("ocr", TimedText(0, 1, "before after")),))
    assert hostile not in str(after)
    assert str(after).count("\n") == str(plain).count("\n")


def said(text: str, stopped_by: StoppedBy = "end") -> str:
    return caption_of(Reply(text, stopped_by, 5, 9, 0.1, 0.2))


def test_a_finished_caption_stays_as_it_is() -> None:
    assert said(" A dog\nruns. It rains ") == "A dog runs. It rains"
    assert said("") == said(" \n") == ""
    assert said("<think>A dog?</think>A cat [E3].") == "A cat E3."
    assert said("<think>Let me see") == ""
    assert said("A **cat** [E3]. <think>A dog?</think>") == "A cat E3."
    assert said("<|begin_of_box|>A cat.<|end_of_box|>") == "A cat."


def test_of_a_caption_that_was_cut_off_whole_sentences_stay() -> None:
    for stopped_by in ("max_new_tokens", "time_limit"):
        assert said("A dog runs at 2.5 km. It barks! The c", stopped_by) == (
            "A dog runs at 2.5 km. It barks!"
        )
        assert said("A dog runs over the me", stopped_by) == "A dog runs over the …"
        assert said("一只狗在跑。猫在", stopped_by) == "一只狗在跑。"
        assert said("一只狗在跑", stopped_by) == "一只狗在跑 …"
        assert said("", stopped_by) == ""


def test_what_a_caption_says_over_and_over_stands_once() -> None:
    loop = " The dog runs." * 9
    assert said(f"A man walks.{loop} The dog", "repetition") == "A man walks. The dog runs."
    assert said("A man walks. He is" + " very" * 9, "repetition") == "A man walks."
    assert said("A sign says" + " go" * 40, "repetition") == "A sign says go …"
    assert said("He has 1000." + " And so on and on." * 900, "repetition") == (
        "He has 1000. And so on and on."
    )
    assert said("一只狗。" + "好" * 90, "repetition") == "一只狗。"


# --- models in this process ----------------------------------------------------------------------


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    open_viewer.cache_clear()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven seconds, so four clips of three seconds or less, with a line said in the second."""
    lines = [TimedText(3.5, 5.0, "The fox runs over the lake."), TimedText(4, 5, "word " * 300)]
    folder = tmp_path_factory.mktemp("film")
    return make_video(folder / "film.mp4", seconds=11, rate=5, gop=5, subtitles=lines)


Checkpoint = Callable[[str], Path]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("models")
    return lambda family: tiny(family, folder / family, seed=1)


def config(*more: str) -> Config:
    quick = ["run.executor=local", "ocr.enabled=false", "facts.enabled=false"]
    windows = ["clips.mode=windows", "clips.window_seconds=3", "captions.by=vlm"]
    small = ["captions.tokens=64", "captions.max_new_tokens=12", "captions.frames=4"]
    return load(overrides=[*quick, *windows, *small, *more]).config


def index(library: Path, path: Path, *more: str) -> IndexReport:
    return videopipe.index(path, library, config=config(*more))


def written(library: Path) -> dict[int, ClipText]:
    with Library.open(library) as opened:
        (video,) = opened.videos()
        assert opened.verify() == []
        texts = opened.texts(opened.clips(video.video_id))
    captions = [text for text in texts if text.source == "caption"]
    assert len({text.clip.index for text in captions}) == len(captions)
    return {text.clip.index: text for text in captions}


@pytest.mark.parametrize("family", ["qwen2_5_vl", "llava_onevision", "smolvlm"])
def test_captions_are_kept_whatever_the_batch(
    checkpoint: Checkpoint, film: Path, tmp_path: Path, family: str, monkeypatch: Any
) -> None:
    name = str(checkpoint(family))
    plans, shown = [], []
    plan, look = LocalViewer.plan, LocalViewer.look

    def planned(self: LocalViewer, footage: Any, *rest: Any) -> Any:
        plans.append((footage, plan(self, footage, *rest)))
        return plans[-1][1]

    def looked(self: LocalViewer, views: Any, **rest: Any) -> Any:
        shown.append([sum(self.count(p) for p in v.parts if isinstance(p, str)) for v in views])
        return look(self, views, **rest)

    monkeypatch.setattr(LocalViewer, "plan", planned)
    monkeypatch.setattr(LocalViewer, "look", looked)
    report = index(tmp_path / "three", film, f"model.name={name}", "captions.batch=3")
    assert report.error() is None
    assert report.outcomes[0].stage_seconds["caption"] > 0
    together = written(tmp_path / "three")
    assert {text.model for text in together.values()} == {name}
    assert {text.language for text in together.values()} == {None}
    for text in together.values():
        (line,) = text.lines
        assert (line.start, line.end, line.text) == (text.clip.start, text.clip.end, text.text)
    assert len(together) == 4
    assert [len(texts) for texts in shown] == [3, 1]
    plain = shown[0][0]
    assert plain + 10 < shown[0][1] <= plain + 250  # the first of the two lines is context
    # Half a second apart at least: the last clip is two seconds long.
    assert [footage.frames for (footage,), _ in plans] == [4, 4, 4, 4]
    assert all(0 < made.kept <= made.budget == 64 for _, made in plans)

    assert index(tmp_path / "one", film, f"model.name={name}", "captions.batch=1").error() is None
    alone = written(tmp_path / "one")
    assert {at: text.text for at, text in alone.items()} == {
        at: text.text for at, text in together.items()
    }
    assert len({text.text for text in alone.values()}) > 1  # it depends on what is shown


def test_another_model_describes_again_and_the_same_does_not(
    checkpoint: Checkpoint, film: Path, tmp_path: Path
) -> None:
    first, other = checkpoint("qwen2_5_vl"), checkpoint("smolvlm")
    library = tmp_path / "library"
    for model, status in ((first, "indexed"), (first, "unchanged"), (other, "indexed")):
        (outcome,) = index(library, film, f"model.name={model}").outcomes
        assert outcome.status == status
        assert {text.model for text in written(library).values()} == {str(model)}
    with Library.open(library) as opened:
        caption = written(library)[0]
        hit = opened.search(caption.text, 1, sources=["caption"])[0]
    assert hit.matches[0].to_dict()["model"] == str(other)


def test_a_folder_has_one_worker_for_one_model(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("a", "b"):
        make_video(folder / f"{name}.mp4", seconds=2 + (name == "b"), rate=5)
    model = f"model.name={checkpoint('smolvlm')}"
    report = index(tmp_path / "library", folder, model, "run.executor=auto")
    assert report.error() is None
    assert report.workers == 1
    with Library.open(tmp_path / "library") as opened:
        assert opened.stats().sources["caption"] == 2


def test_a_slow_model_shows_that_it_lives(
    checkpoint: Checkpoint, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(f"model.name={checkpoint('qwen2_5_vl')}")
    viewer = open_viewer(settings.model)
    info = probe(film)
    clips = [Clip(info.video_id, 0, 0.0, 3.0), Clip(info.video_id, 1, 3.0, 6.0)]
    monkeypatch.setattr(captions, "_BEAT", 0.0)
    signs: list[float] = []
    captions.caption_texts(info, clips, (), viewer, settings, progress=signs.append)
    assert len(signs) > 12  # one for each layer and token at least
    assert set(signs[:-1]) == {0.0}
    assert signs[-1] == 6.0


def test_frames_that_are_damaged_are_left_out(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(tmp_path / "film.mkv", seconds=9, rate=5, gop=5)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.size and 3.0 <= float(packet.pts * packet.time_base) < 7.0:
                data[packet.pos + 5 : packet.pos + packet.size] = b"\xff" * (packet.size - 5)
    path.write_bytes(data)
    seen: list[int] = []
    plan = LocalViewer.plan

    def planned(self: LocalViewer, footage: Any, *rest: Any) -> Any:
        seen.append(footage[0].frames)
        return plan(self, footage, *rest)

    monkeypatch.setattr(LocalViewer, "plan", planned)
    report = index(tmp_path / "library", path, f"model.name={checkpoint('smolvlm')}")
    assert report.error() is None
    assert set(written(tmp_path / "library")) == {0, 2}
    assert any(
        "clip 1 (0:00:03–0:00:06) has no caption: none of its frames" in warning
        for warning in report.outcomes[0].warnings
    )
    assert seen == [4, 4, 4, 4, 3]  # planned, and planned again with what is left


def test_models_that_cannot_be_used_end_the_run_before_it_begins(
    checkpoint: Checkpoint, film: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.json").write_text(json.dumps({"model_type": "bert"}))
    folder = film.parent
    for where in (film, folder):
        for name, kind, words in (
            (tmp_path / "nowhere", NotFound, "does not exist"),
            (bare, ModelError, "'bert' is not supported"),
            ("some-organisation/some-model", ModelError, "cannot be reached"),
        ):
            with pytest.raises(kind, match=words):
                index(tmp_path / "library", where, f"model.name={name}")
    with pytest.raises(ConfigError, match="--model"):
        index(tmp_path / "library", film)
    small = ["captions.tokens=1", "compress.method=none"]
    report = index(
        tmp_path / "library", film, f"model.name={checkpoint('llava_onevision')}", *small
    )
    assert isinstance(report.error(), ConfigError)
    with Library.open(tmp_path / "library") as opened:
        assert opened.videos() == []


# --- models behind a server ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def serving() -> Iterator[OpenAIServer]:
    with openai_server("tiny-vl", "other-vl") as running:
        yield running


@pytest.fixture
def server(serving: OpenAIServer) -> OpenAIServer:
    serving.behave()
    open_viewer.cache_clear()
    return serving


def served(server: OpenAIServer, model: str = "tiny-vl") -> tuple[str, ...]:
    return (
        f"model.name=openai:{model}",
        f"model.base_url={server.url}",
        "model.retries=0",
        "model.concurrency=2",
    )


def test_a_server_captions_too(server: OpenAIServer, film: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    assert index(library, film, *served(server)).error() is None
    assert set(written(library)) == {0, 1, 2, 3}
    for text in written(library).values():
        assert text.text.startswith("I was sent 4 images, 0 videos, ")
        assert text.model == "openai:tiny-vl"
    state = server.state()
    assert (state.requests, state.most_at_once) == (4, 2)
    assert state.body["max_tokens"] == 12
    server.behave(answer="It is something else.")
    assert index(library, film, *served(server)).outcomes[0].status == "unchanged"
    assert index(library, film, *served(server, "other-vl")).outcomes[0].status == "indexed"
    assert {t.text for t in written(library).values()} == {"It is something else."}


def test_one_clip_that_fails_is_a_warning(server: OpenAIServer, film: Path, tmp_path: Path) -> None:
    settings = config(*served(server), "model.concurrency=1")
    open_viewer(settings.model)  # while all is well; it stays open
    server.behave(fail=1, status=400, message="no such picture")
    report = videopipe.index(film, tmp_path / "library", config=settings)
    assert report.error() is None
    assert set(written(tmp_path / "library")) == {1, 2, 3}
    (warning,) = report.outcomes[0].warnings
    assert warning.startswith("clip 0 (0:00:00–0:00:03) has no caption: The server ")
    assert "no such picture" in warning


def test_when_all_clips_fail_the_video_does(
    server: OpenAIServer, film: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    server.behave(unfit=["model"])  # it refuses every request, but lists its models
    error = index(library, film, *served(server)).error()
    assert isinstance(error, ModelError)
    assert "no clip could be captioned; The server" in str(error)
    with Library.open(library) as opened:
        assert opened.videos() == []
    server.behave()
    assert index(library, film, *served(server)).outcomes[0].status == "indexed"
    assert len(written(library)) == 4


def test_a_server_that_goes_away_fails_the_video(server: OpenAIServer, film: Path) -> None:
    settings = config(*served(server), "model.concurrency=1")
    info = probe(film)
    clips = [Clip(info.video_id, at, 3.0 * at, 3.0 * at + 3) for at in range(3)]

    def progress(reached: float) -> None:
        if reached == 6.0:
            server.behave(fail=9, status=500)

    with pytest.raises(ModelError, match="500"):
        captions.caption_texts(
            info, clips, (), open_viewer(settings.model), settings, progress=progress
        )


def test_a_server_out_of_reach_is_told_at_once(film: Path, tmp_path: Path, videopipe: Run) -> None:
    sets = ["model.retries=0", "run.executor=local"]
    words = [word for key in sets for word in ("--set", key)]
    ran = videopipe(
        "index", film, "--library", tmp_path / "library", "--describe", "vlm",
        "--model", "openai:tiny-vl", "--base-url", "http://127.0.0.1:9/v1", *words,
    )  # fmt: skip
    assert ran.code == 5
    assert ran.err.count("\n") == 1
    assert "http://127.0.0.1:9/v1" in ran.err
    with Library.open(tmp_path / "library") as opened:
        assert opened.videos() == []


def test_captions_stay_when_a_later_run_asks_for_none(
    server: OpenAIServer, film: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    plain = "captions.by=none"
    assert index(library, film, plain).outcomes[0].status == "indexed"
    assert index(library, film, *served(server)).outcomes[0].status == "indexed"
    held = written(library)
    assert len(held) == 4
    assert index(library, film, plain).outcomes[0].status == "unchanged"
    moved = tmp_path / "moved.mp4"
    moved.write_bytes(film.read_bytes())
    assert index(library, moved, plain).outcomes[0].status == "duplicate"
    assert {at: text.text for at, text in written(library).items()} == {
        at: text.text for at, text in held.items()
    }
    (outcome,) = index(library, film, plain, "scan.rate=2").outcomes
    assert outcome.status == "indexed"
    assert outcome.reason == "without the captions it had, which this run did not ask for"
    assert written(library) == {}


def test_loading_a_model_is_told(server: OpenAIServer, film: Path) -> None:
    settings = config(*served(server))
    told: list[str] = []
    index_video(Job(film, settings), lambda stage, done, total: told.append(stage))
    assert told[told.index("load") - 1] == "caption"
    assert list(dict.fromkeys(told[told.index("load") :])) == ["load", "caption", "embed"]
