"""Training-free token compressors: visual tokens and a number to a map. Imports nothing heavier
than torch, and knows no model."""

from videopipe.compress import (  # each makes its methods known by their names
    attention,
    auto,
    dpc_knn,
    fourier,
    hiprune,
    none,
    pool,
    ppllava,
    progressive,
    prumerge,
    quota,
    recoverable,
    tome,
    uniform,
    vflowopt,
    vidcom2,
    visionzip,
    vispruner,
    vqtoken,
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
    "attention",
    "auto",
    "compose",
    "compress",
    "dpc_knn",
    "fourier",
    "hiprune",
    "method",
    "methods",
    "none",
    "pool",
    "ppllava",
    "progressive",
    "prumerge",
    "quota",
    "recoverable",
    "register",
    "tome",
    "uniform",
    "vflowopt",
    "vidcom2",
    "visionzip",
    "vispruner",
    "vqtoken",
]
