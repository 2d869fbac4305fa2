"""Training-free token compressors: visual tokens and a number to a map. Imports nothing heavier
than torch, and knows no model."""

from videopipe.compress import (  # each makes its methods known by their names
    auto,
    dpc_knn,
    fourier,
    none,
    pool,
    ppllava,
    progressive,
    quota,
    tome,
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
    "dpc_knn",
    "fourier",
    "method",
    "methods",
    "none",
    "pool",
    "ppllava",
    "progressive",
    "quota",
    "register",
    "tome",
    "uniform",
    "vidcom2",
]
