"""The real videos: indexed in one command, searched, asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from videopipe import ask, search

pytestmark = [pytest.mark.media, pytest.mark.ray]


@pytest.fixture(scope="module")
def indexed(media: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The library of the whole folder, and the report of the run."""
    library = tmp_path_factory.mktemp("media") / "library"
    command = [sys.executable, "-m", "videopipe", "index", str(media), "--library", str(library)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return library, json.loads(done.stdout)


def test_every_file_has_the_right_outcome(
    indexed: tuple[Path, dict[str, Any]], media: Path
) -> None:
    videos = {Path(video["path"]).name: video for video in indexed[1]["videos"]}
    skipped = {name for name, video in videos.items() if video["status"] == "skipped"}
    assert skipped == {"mp_attachedpic.mp3"}
    assert "cover picture" in videos["mp_attachedpic.mp3"]["reason"]
    suffixes = {".mp4", ".webm", ".mkv", ".mov"}
    wanted = {path.name for path in media.iterdir() if path.suffix in suffixes}
    assert {name for name, video in videos.items() if video["status"] == "indexed"} == wanted
    damaged = {name for name, video in videos.items() if any("dam" in w for w in video["warnings"])}
    assert damaged == {"decord_corrupted.mp4"}
    assert videos["mp_noduration.webm"]["duration_s"] > 4


@pytest.mark.parametrize(
    ("query", "video"),
    [
        ("open a new browser", "simpl_chrome.mp4"),
        ("Chrome fast", "simpl_chrome.mp4"),
        ("Alice was beginning to get very tired of sitting by her sister", "webrtc_mixed.webm"),
        ("sister on the bank", "webrtc_mixed.webm"),
        ("Video-LLaVA", "vllava_demo.mp4"),
        ("baby trying to read a book on the bed", "vllava_demo.mp4"),
        ("laptop on a tree branch", "simpl_chrome.mp4"),
        ("space telescope", "tc_nasa13013.mp4"),
    ],
)
def test_what_is_on_screen_or_said_is_found(
    indexed: tuple[Path, dict[str, Any]], query: str, video: str
) -> None:
    assert search(query, indexed[0], limit=3)[0].video.name == video


def test_the_narration_is_cited_by_its_seconds(
    indexed: tuple[Path, dict[str, Any]], media: Path
) -> None:
    answer = ask(
        "What does the narration say about the telescope?",
        video=media / "tc_nasa13013.mp4",
        library=indexed[0],
    )
    assert answer.found
    assert any(
        c.source == "subtitle" and c.start == pytest.approx(0.21, abs=0.01) and c.end < 12.5
        for c in answer.citations
    )
    assert "Webb" in answer.text


def test_text_in_another_script_is_found(indexed: tuple[Path, dict[str, Any]]) -> None:
    hits = search("你", indexed[0], limit=3)
    assert hits[0].video.name in {"dj_video3.mp4", "vllava_demo.mp4"}
