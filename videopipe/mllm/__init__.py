"""Video MLLMs: any of transformers behind one adapter, and any behind an OpenAI-compatible server.

The names here are imported where they are first used: most bring torch and transformers along.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videopipe.mllm.adapter import VideoMLLM, load
    from videopipe.mllm.budget import BudgetPlan, ClipPlan
    from videopipe.mllm.families import FAMILIES, Family
    from videopipe.mllm.prompt import VIDEO, Prompt
    from videopipe.mllm.reply import Reply, StoppedBy
    from videopipe.mllm.server import ServerModel
    from videopipe.mllm.view import View, Viewer
    from videopipe.mllm.viewer import open_viewer

_HOMES = {
    "FAMILIES": "families",
    "VIDEO": "prompt",
    "BudgetPlan": "budget",
    "ClipPlan": "budget",
    "Family": "families",
    "Prompt": "prompt",
    "Reply": "reply",
    "ServerModel": "server",
    "StoppedBy": "reply",
    "VideoMLLM": "adapter",
    "View": "view",
    "Viewer": "view",
    "load": "adapter",
    "open_viewer": "viewer",
}

__all__ = [
    "FAMILIES",
    "VIDEO",
    "BudgetPlan",
    "ClipPlan",
    "Family",
    "Prompt",
    "Reply",
    "ServerModel",
    "StoppedBy",
    "VideoMLLM",
    "View",
    "Viewer",
    "load",
    "open_viewer",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'videopipe.mllm' has no attribute '{name}'")
    return getattr(import_module(f"videopipe.mllm.{_HOMES[name]}"), name)
