"""The ask path: retrieve, read, cite, and the pictures that go with it."""

from videopipe.answer.answer import Answer, Choice, Citation, Evidence
from videopipe.answer.ask import ask, check
from videopipe.answer.evidence import cut, write_frame
from videopipe.answer.explain import check_target

__all__ = [
    "Answer",
    "Choice",
    "Citation",
    "Evidence",
    "ask",
    "check",
    "check_target",
    "cut",
    "write_frame",
]
