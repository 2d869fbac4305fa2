"""What the documents say is what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]


def test_generated_documents_are_current() -> None:
    script = ROOT / "pipelines" / "make_docs.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_readme_names_only_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    for name in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        if not name.startswith("http"):
            assert (ROOT / name).exists(), name
    for name in re.findall(r"(?:pipelines|configs|notebooks)/[\w./-]*\w", text):
        assert (ROOT / name).exists(), name


def test_the_readme_shows_only_real_options() -> None:
    text = (ROOT / "README.md").read_text()
    commands = re.findall(r"^videopipe ((?:library |config )?\w+)(.*)$", text, re.MULTILINE)
    assert commands
    for command, rest in commands:
        help_text = subprocess.run(
            [sys.executable, "-m", "videopipe", *command.split(), "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for option in re.findall(r"(?<=\s)--?[a-z][\w-]*", rest):
            assert option in help_text, f"videopipe {command} has no {option}"


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.name)
def test_notebooks_run(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": tmp_path}}).execute()
