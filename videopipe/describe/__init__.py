"""Text for clips: subtitles, speech, on-screen text, measured facts.

Captions are in ``videopipe.describe.captions``, which brings transformers along.
"""

from videopipe.describe.describe import describe
from videopipe.describe.facts import facts_texts
from videopipe.describe.gate import frames_to_read
from videopipe.describe.ocr import Reader, Reading
from videopipe.describe.recogniser import Transcriber, load_transcriber
from videopipe.describe.screen_text import ocr_texts
from videopipe.describe.speech import Transcript, transcribe
from videopipe.describe.subtitles import subtitle_texts

__all__ = [
    "Reader",
    "Reading",
    "Transcriber",
    "Transcript",
    "describe",
    "facts_texts",
    "frames_to_read",
    "load_transcriber",
    "ocr_texts",
    "subtitle_texts",
    "transcribe",
]
