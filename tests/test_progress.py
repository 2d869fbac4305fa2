"""What is drawn on a terminal: the real command line under a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from openai_server import openai_server
from videos import make_video

from videopipe.types import TimedText

HIDE, SHOW, ERASE = "\x1b[?25l", "\x1b[?25h", "\x1b[2K"
QUICK = ["ocr.enabled=false", "facts.enabled=false", "run.executor=local"]
BAR = " % "


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = [TimedText(1.0, 4.0, "A whale swims past the harbour.")]
    folder = tmp_path_factory.mktemp("film")
    return make_video(folder / "film.mp4", seconds=5, rate=5, subtitles=lines)


def on_terminal(*words: object, code: int = 0) -> str:
    """What ``videopipe WORDS`` writes to a terminal."""
    settings = [word for setting in QUICK for word in ("--set", setting)]
    return written_by("from videopipe.cli import main; main()", *words, *settings, code=code)


def written_by(program: str, *words: object, rows: int = 24, code: int = 0) -> str:
    """What a Python program writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    for name in ("COLUMNS", "LINES"):
        environment.pop(name, None)
    command = [sys.executable, "-c", program, *map(str, words)]
    written = b""
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as it:
        os.close(theirs)
        try:
            while part := os.read(ours, 4096):
                written += part
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    text = written.decode()
    assert it.returncode == code, text
    return text


def rendered(written: str, rows: int = 24) -> list[str]:
    """The lines of a terminal, with those that were scrolled away, after ``written``."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|[^\x1b]", written):
        if token == "\r":
            column = 0
        elif token == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif token == ERASE:
            lines[row] = ""
        elif up := re.fullmatch(r"\x1b\[(\d+)A", token):
            row = max(row - int(up[1]), len(lines) - rows, 0)
        elif len(token) == 1:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + token + line[column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


def repaints(written: str) -> list[str]:
    """What is written between two erasures while something moves on the terminal."""
    moving = re.findall(f"{re.escape(HIDE)}(.*?){re.escape(SHOW)}", written, re.DOTALL)
    pieces = re.split(r"(?:\r?\x1b\[2K(?:\x1b\[1A\x1b\[2K)*)", moving[-1])
    return [" ".join(re.sub(r"\x1b\[[0-9;]*m", "", piece).split()) for piece in pieces]


def test_bars_are_gone_before_the_model_speaks(film: Path, tmp_path: Path) -> None:
    said = "The whale swims past the red harbour at noon and nobody looks at it [E1]."
    with openai_server("tiny-vl") as server:
        server.behave(delay=0.2, answer=said)
        written = on_terminal(
            "ask", film, "What does the whale do?", "--library", tmp_path / "library",
            "--model", "openai:tiny-vl", "--base-url", server.url,
        )  # fmt: skip
    # One thing moves at a time: first the bars of the index, then the text.
    assert re.findall(r"\x1b\[\?25[lh]", written) == [HIDE, SHOW, HIDE, SHOW]
    before, bars, between, text, after = re.split(r"\x1b\[\?25[lh]", written)
    assert BAR in bars
    assert BAR not in before + between + text + after
    assert ERASE not in before + after.lstrip("\r\x1b[12KA")
    assert "looking at" in between
    grown = [piece for piece in repaints(written) if piece]
    assert len(set(grown)) > 3
    assert all(said.startswith(piece) for piece in grown)
    assert grown == sorted(grown, key=len)
    # Between two erasures the text is written again; only the last is for good.
    assert sum(not piece for piece in repaints(written)) <= 1
    left = "\n".join(rendered(written))
    assert left.count("The whale swims past") == 1
    assert BAR not in left


def test_a_long_text_leaves_nothing_behind() -> None:
    program = """
import time
from videopipe.cli.progress import speaking
with speaking() as (tell, write):
    for number in range(30):
        write(f"Line {number} of the reply.\\n")
        time.sleep(0.05)
print("The answer.")
"""
    written = written_by(program, rows=10)
    assert "Line 29 of" in " ".join(repaints(written))
    assert [line for line in rendered(written, rows=10) if line] == ["The answer."]


def test_a_bar_without_progress_writes_nothing() -> None:
    program = """
from videopipe.cli.progress import bar
with bar("Rendering") as draw:
    for done in range({}):
        draw(done, 3)
print("Done.")
"""
    assert written_by(program.format(0)) == "Done.\r\n"
    drawn = written_by(program.format(3))
    assert "Rendering" in drawn
    assert [line for line in rendered(drawn) if line] == ["Done."]


def test_a_run_with_nothing_to_do_moves_nothing(film: Path, tmp_path: Path) -> None:
    words = ("index", film, "--library", tmp_path / "library")
    first = on_terminal(*words)
    assert re.findall(r"\x1b\[\?25[lh]", first) == [HIDE, SHOW]
    assert "1 indexed" in first
    assert BAR not in "\n".join(rendered(first))
    second = on_terminal(*words)
    assert "1 unchanged" in second
    assert not re.search(r"\x1b\[\?25|\x1b\[2K", second)


def test_failures_stand_above_the_bars(film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"nothing")
    (folder / "b.mp4").write_bytes(film.read_bytes())
    written = on_terminal("index", folder, "--library", tmp_path / "library", code=6)
    assert re.findall(r"\x1b\[\?25[lh]", written) == [HIDE, SHOW]
    left = rendered(written)
    assert sum(line.startswith("a.mp4: failed") for line in left) == 1
