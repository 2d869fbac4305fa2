"""The floors of DESIGN: imports go down, never up, and light imports stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "videopipe"
FLOORS = (
    {"errors", "types"},
    {"config", "allocate", "registry"},
    {"media", "select", "compress", "library"},
    {"scan", "mllm"},
    {"describe"},
    {"answer"},
    {"ingest", "evaluate", "serve"},
    {"cluster"},
    {"api", ""},
    {"cli"},
    {"__main__"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return "" if relative == Path("__init__.py") else relative.parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST) -> set[str]:
    rooms = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for parts in (name.split(".") for name in names):
            if parts[0] == "videopipe" and len(parts) > 1:
                known = parts[1] in FLOOR_OF
                rooms.add(parts[1] if known else "")
    return rooms


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.name)
def test_imports_go_down(path: Path) -> None:
    room = room_of(path)
    for other in imported_rooms(ast.parse(path.read_text())) - {room}:
        is_version = other == "" and "__version__" in path.read_text()
        is_public_name = room == ""  # the public names are imported where they are used
        assert is_version or is_public_name or FLOOR_OF[other] < FLOOR_OF[room], (
            f"{room or 'videopipe'} imports {other or 'videopipe'}"
        )


@pytest.mark.parametrize("heavy", ["torch", "transformers", "ray", "numpy", "cv2", "faiss", "av"])
def test_the_command_line_starts_light(heavy: str) -> None:
    code = f"import sys, videopipe.cli; sys.exit('{heavy}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
