"""One low-resolution pass over a video: signals for each frame, shots, clips."""

from videopipe.scan.clips import cut_clips
from videopipe.scan.shots import find_cuts
from videopipe.scan.signals import Signals, measure

__all__ = ["Signals", "cut_clips", "find_cuts", "measure"]
