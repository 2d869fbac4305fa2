"""Write what is generated: ``configs/default.yaml`` and the blocks of the README.

    python pipelines/make_docs.py [--check | --demo]

With ``--check`` nothing is written; exits with 1 when a file is out of date. With ``--demo`` the
output of ``videopipe demo`` is written as well, which takes more than a minute.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from videopipe.config import Config, to_yaml

ROOT = Path(__file__).parents[1]
DEFAULTS_HEAD = """\
# Every key with its default. Copy what you want to change into a file of your own and pass it
# with --config FILE; single keys go with --set, for example --set scan.rate=2.

"""
BLOCK = re.compile(
    r"(?P<head><!-- help: (?P<command>[^>]*?) -->\n```text\n).*?(?P<tail>^```$)",
    re.DOTALL | re.MULTILINE,
)


DEMO = re.compile(r"(?P<head><!-- demo -->\n```text\n).*?(?P<tail>^```$)", re.DOTALL | re.MULTILINE)


def demo_text() -> str:
    """What ``videopipe demo`` prints."""
    command = [sys.executable, "-m", "videopipe", "demo"]
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, text=True, check=True)
    return done.stdout.strip()


def help_text(command: str) -> str:
    """The help of ``command`` at 80 columns, as a user sees it."""
    result = subprocess.run(
        [sys.executable, "-m", "videopipe", *command.split()[1:], "--help"],
        env={**os.environ, "COLUMNS": "80", "TERMINAL_WIDTH": "80", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    text = result.stdout.replace("python -m videopipe", "videopipe")
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def generated() -> dict[Path, str]:
    """Each generated file with the text it should have."""
    readme = ROOT / "README.md"
    return {
        ROOT / "configs" / "default.yaml": DEFAULTS_HEAD + to_yaml(Config()),
        readme: BLOCK.sub(_with_help, readme.read_text(encoding="utf-8")),
    }


def _with_help(block: re.Match[str]) -> str:
    command = block["command"]
    return f"{block['head']}$ {command} --help\n{help_text(command)}\n{block['tail']}"


def main() -> int:
    made = generated()
    if "--demo" in sys.argv[1:]:
        readme, shown = ROOT / "README.md", demo_text()
        made[readme] = DEMO.sub(lambda b: f"{b['head']}{shown}\n{b['tail']}", made[readme])
    stale = {path: text for path, text in made.items() if path.read_text(encoding="utf-8") != text}
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: make docs", file=sys.stderr)
        return int(bool(stale))
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
