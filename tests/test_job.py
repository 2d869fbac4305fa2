"""The Ray job entry point, submitted to a head that the test starts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from videos import make_video

from videopipe import Library
from videopipe.types import TimedText

ROOT = Path(__file__).parents[1]
RAY = str(Path(sys.executable).with_name("ray"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def head(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of clients of a local head."""
    dashboard = free_port()
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "RAY_AUTH_MODE": "disabled",
        "RAY_TMPDIR": "/tmp",
        "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard}",
    }
    command = [RAY, "start", "--head", "--block", "--num-cpus=2", "--disable-usage-stats"]
    command += ["--node-ip-address=127.0.0.1", f"--port={free_port()}"]
    command += ["--include-dashboard=true", f"--dashboard-port={dashboard}"]
    with (tmp_path / "head.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            for _ in range(120):
                with socket.socket() as probe:
                    probe.settimeout(0.5)
                    if probe.connect_ex(("127.0.0.1", dashboard)) == 0:
                        break
                assert process.poll() is None, (tmp_path / "head.log").read_text()
                try:
                    process.wait(0.5)
                except subprocess.TimeoutExpired:
                    continue
            yield environment
        finally:
            process.terminate()
            process.wait(40)


@pytest.mark.ray
def test_index_directory_as_a_job(head: dict[str, str], tmp_path: Path) -> None:
    videos, library = tmp_path / "videos", tmp_path / "library"
    videos.mkdir()
    cues = [TimedText(0, 2, "The tide turns at noon.")]
    make_video(videos / "a.mp4", seconds=3, subtitles=cues)
    make_video(videos / "b.mp4", seconds=2)
    (videos / "broken.mp4").write_bytes(b"\0" * 500)
    settings = (ROOT / "configs" / "cluster.yaml").read_text()
    settings = settings.replace("/data/videos", str(videos)).replace("/data/library", str(library))
    (tmp_path / "cluster.yaml").write_text(settings)
    command = [RAY, "job", "submit", "--working-dir", ".", "--", "python"]
    command += ["pipelines/index_directory.py", "--config", str(tmp_path / "cluster.yaml")]
    done = subprocess.run(
        command, cwd=ROOT, env=head, capture_output=True, text=True, timeout=200, check=False
    )
    log = done.stdout + done.stderr
    assert "broken.mp4" in log, log
    assert "2 indexed, 1 failed" in log, log
    assert done.returncode != 0, "a run in which a video failed is not a success"
    with Library.open(library) as opened:
        assert sorted(video.name for video in opened.videos()) == ["a.mp4", "b.mp4"]
