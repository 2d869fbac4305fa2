"""One low-resolution pass over a video: signals for each frame, shots, clips."""

from videopipe.scan.appearance import appearance
from videopipe.scan.clips import cut_clips
from videopipe.scan.landmarks import LandmarkTracker
from videopipe.scan.shots import find_cuts
from videopipe.scan.signals import Signals, measure

__all__ = ["LandmarkTracker", "Signals", "appearance", "cut_clips", "find_cuts", "measure"]
