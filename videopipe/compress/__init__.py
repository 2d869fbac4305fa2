"""Training-free token compressors: visual tokens and a number to a map. Imports nothing heavier
than torch, and knows no model."""

from videopipe.compress.composition import Composition, compose
from videopipe.compress.compressing import compress
from videopipe.compress.none import Nothing
from videopipe.compress.pool import GridPool
from videopipe.compress.quota import QuotaTokens
from videopipe.compress.registry import Compressor, method, methods, register
from videopipe.compress.tokens import TokenMap, VisualTokens
from videopipe.compress.uniform import Uniform

__all__ = [
    "Composition",
    "Compressor",
    "GridPool",
    "Nothing",
    "QuotaTokens",
    "TokenMap",
    "Uniform",
    "VisualTokens",
    "compose",
    "compress",
    "method",
    "methods",
    "register",
]
