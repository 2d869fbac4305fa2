"""Video MLLMs: any of transformers behind one adapter, and any behind an OpenAI-compatible server.

Importing this loads torch and transformers.
"""

from videopipe.mllm.adapter import VideoMLLM, load
from videopipe.mllm.budget import BudgetPlan, ClipPlan, Footage
from videopipe.mllm.families import FAMILIES, Family
from videopipe.mllm.prompt import VIDEO, Prompt
from videopipe.mllm.reply import Reply, StoppedBy
from videopipe.mllm.server import ServerModel
from videopipe.mllm.viewer import View, Viewer, open_viewer

__all__ = [
    "FAMILIES",
    "VIDEO",
    "BudgetPlan",
    "ClipPlan",
    "Family",
    "Footage",
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
