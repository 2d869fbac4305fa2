"""Everything indexing found out, on disk, and how it is found again."""

from videopipe.library.documents import split_document
from videopipe.library.embedder import PACKAGED, Embedder, load_embedder
from videopipe.library.records import ClipHit, LibraryStats, TextMatch, TextScore, Video
from videopipe.library.retrieve import merge_by_clip, rank_documents
from videopipe.library.store import Library

__all__ = [
    "PACKAGED",
    "ClipHit",
    "Embedder",
    "Library",
    "LibraryStats",
    "TextMatch",
    "TextScore",
    "Video",
    "load_embedder",
    "merge_by_clip",
    "rank_documents",
    "split_document",
]
