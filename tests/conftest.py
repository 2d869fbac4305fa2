"""Settings every test runs under, and what several tests share."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.pop("VIDEOPIPE_DEBUG", None)
# Worker processes import the helper modules beside the tests.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
)

import pytest

MEDIA = Path(__file__).parents[2] / "shared" / "media"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if MEDIA.is_dir():
        return
    for item in items:
        if item.get_closest_marker("media"):
            item.add_marker(
                pytest.mark.skip(reason="the real videos of ../shared/media are absent")
            )


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real videos (for tests marked ``media``)."""
    return MEDIA


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the library of whoever runs it."""
    monkeypatch.setenv("VIDEOPIPE_HOME", str(tmp_path / "home"))


@dataclass(frozen=True)
class Ran:
    """What a run of the command line left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def videopipe(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the real entry point in this process: ``videopipe("info", path)``."""
    from videopipe.cli import main

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["videopipe", *map(str, words)])
        capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        assert "Traceback" not in err + out, err
        return Ran(code, out, err)

    return run
