"""Text for clips: subtitles, on-screen text, measured facts."""

from videopipe.describe.describe import describe
from videopipe.describe.facts import facts_texts
from videopipe.describe.gate import frames_to_read
from videopipe.describe.ocr import Reader, Reading
from videopipe.describe.screen_text import ocr_texts
from videopipe.describe.subtitles import subtitle_texts

__all__ = [
    "Reader",
    "Reading",
    "describe",
    "facts_texts",
    "frames_to_read",
    "ocr_texts",
    "subtitle_texts",
]
