"""Long-video understanding: index, search and ask with cited times.

from videopipe import Library, ask, index

index(["videos/"], library="my.library")
print(ask("When does she define entropy?", library="my.library"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videopipe.answer import Answer as Answer
    from videopipe.api import ask as ask
    from videopipe.api import default_library as default_library
    from videopipe.api import index as index
    from videopipe.api import search as search
    from videopipe.library import Library as Library

__version__ = "0.1.0"
__all__ = ["Answer", "Library", "ask", "default_library", "index", "search"]

_HOMES = {"Answer": "videopipe.answer", "Library": "videopipe.library"}


def __getattr__(name: str) -> Any:
    # Imported on first use: `videopipe --help` must not wait for NumPy and SQLite.
    if name not in __all__:
        raise AttributeError(f"module 'videopipe' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "videopipe.api")), name)
