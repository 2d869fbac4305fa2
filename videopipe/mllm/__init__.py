"""Video MLLMs: any of transformers behind one adapter, and any behind an OpenAI-compatible server.

Importing this loads torch and transformers.
"""

from videopipe.mllm.adapter import VideoMLLM, load
from videopipe.mllm.families import FAMILIES, Family
from videopipe.mllm.prompt import VIDEO, Prompt
from videopipe.mllm.reply import Reply, StoppedBy
from videopipe.mllm.server import ServerModel

__all__ = [
    "FAMILIES",
    "VIDEO",
    "Family",
    "Prompt",
    "Reply",
    "ServerModel",
    "StoppedBy",
    "VideoMLLM",
    "load",
]
