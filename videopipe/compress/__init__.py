"""Training-free token compressors: visual tokens and a number to a map. Imports nothing heavier
than torch, and knows no model."""

from videopipe.compress import (  # each makes its methods known by their names
    auto,
    none,
    pool,
    quota,
    uniform,
    vidcom2,
)
from videopipe.compress.composition import Composition, compose
from videopipe.compress.compressing import compress
from videopipe.compress.registry import Compressor, method, methods, register
from videopipe.compress.tokens import TokenMap, VisualTokens

__all__ = [
    "Composition",
    "Compressor",
    "TokenMap",
    "VisualTokens",
    "auto",
    "compose",
    "compress",
    "method",
    "methods",
    "none",
    "pool",
    "quota",
    "register",
    "uniform",
    "vidcom2",
]
