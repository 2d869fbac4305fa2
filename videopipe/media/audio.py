"""The sound of a video as a stream of mono samples on the clock of its pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from videopipe.errors import MediaError
from videopipe.media.container import encrypted, keep_only, opened, packets
from videopipe.media.probe import probe
from videopipe.media.subtitles import same_language
from videopipe.types import Location, VideoInfo

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream
    from av.container import InputContainer

Samples = NDArray[np.float32]

_SLACK = 0.04  # seconds between time stamp and count of samples that are no gap
_RESTART = 10.0  # seconds back from which the clock has started anew
_RATES = range(2_000, 1_000_000)  # samples a second that a file may claim


class NoAudio(MediaError):
    """A video without sound."""


@dataclass(frozen=True, slots=True)
class Sound:
    """``samples`` float32 ``[N]``, mono, mostly in -1 to 1; the first is heard at ``start`` s."""

    start: float
    samples: Samples = field(repr=False)


def audio(
    source: Location | str | VideoInfo,
    rate: int = 16_000,
    *,
    language: str | None = None,
    on_damage: Callable[[str], None] = lambda _: None,
) -> Iterator[Sound]:
    """The sound of a video, decoded as it is asked for.

    Yields about a second at a time, without gaps from 0 s to the end of the sound or of the
    pictures, whichever comes first. What the time stamps leave out and what cannot be decoded is
    silence; sound from before the first picture is left out.

    Args:
        rate: samples a second.
        language: a track in this language is preferred to the default one.
        on_damage: told one sentence for each stretch that cannot be decoded.

    Raises:
        NotFound, MediaError: as for ``probe``, or nothing of the sound can be decoded.
        NoAudio: there is no sound.
    """
    import av

    info = source if isinstance(source, VideoInfo) else probe(source)
    line = _Line(rate, info.duration)
    with opened(info.path) as container:
        stream = _stream(container, info, language)
        keep_only(container, stream)
        heard = False
        lost: list[float] = []  # where the current damage began

        def told(until: float) -> None:
            if lost:
                on_damage(_damage(info.path, lost.pop(), until))

        try:
            for packet in packets(container, stream):
                if packet.has_sidedata("encryption_info"):
                    raise encrypted(info.path)
                frames: list[AudioFrame] = []
                broken = packet.is_corrupt
                if not broken:
                    try:
                        frames = stream.codec_context.decode(packet)
                    except av.FFmpegError:
                        broken = True
                for frame in frames:
                    if frame.is_corrupt or not line.add(frame, info.start):
                        broken = True
                        continue
                    heard = True
                    told(line.seconds)
                    yield from line.ready()
                if broken and not lost:
                    lost.append(line.seconds)
                if line.full:
                    break
            else:
                for frame in _rest(stream):
                    line.add(frame, info.start)
        except av.FFmpegError:
            lost.append(line.seconds)
        line.end()
        if not heard and lost:
            raise MediaError(f"The sound of {info.path} cannot be decoded; it is damaged.")
        told(line.seconds)
        yield from line.ready(last=True)


class _Line:
    """Samples in order, placed by their time stamps; ``_count`` of them are finished.

    Sound whose stamps go on where the last ended is one run through one resampler. Else the run
    ends, and the next begins where its stamp says.
    """

    def __init__(self, rate: int, duration: float) -> None:
        self._rate, self._total = rate, round(duration * rate)
        self._held: list[Samples] = []
        self._given = self._count = 0
        self._resampler: AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None
        self._follows: float | None = None  # seconds at which the run goes on
        self._skip = 0  # samples of the run that were there already
        self._shift = 0.0

    @property
    def seconds(self) -> float:
        """How far the sound has come."""
        return self._count / self._rate

    @property
    def full(self) -> bool:
        """Whether the pictures end here."""
        return self._count >= self._total

    def add(self, frame: AudioFrame, zero: float) -> bool:
        """Put a frame in its place; ``zero`` is our zero on its clock. Says whether it is sound."""
        import av

        if frame.sample_rate not in _RATES:
            return False
        begin = self._begin(frame, zero)
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        follows = self._follows is not None and abs(begin - self._follows) <= _SLACK
        if not follows or kind != self._kind:
            self.end()
            self._place(round(begin * self._rate))
            self._resampler = av.AudioResampler("flt", "mono", self._rate)
            self._kind, self._follows = kind, begin
        assert self._resampler is not None
        assert self._follows is not None
        self._follows += frame.samples / frame.sample_rate
        frame.pts = None  # the resampler counts by itself
        try:
            self._take(self._resampler.resample(frame))
        except (av.FFmpegError, ValueError):
            self._resampler = self._follows = None
            return False
        return True

    def end(self) -> None:
        """Get the last samples out of the resampler."""
        import av

        if self._resampler is not None:
            with suppress(av.FFmpegError, ValueError):
                self._take(self._resampler.resample(None))
            self._resampler = self._follows = None

    def ready(self, last: bool = False) -> Iterator[Sound]:
        """Seconds that are full, and with ``last`` the rest, too."""
        while self._count - self._given >= self._rate or (last and self._count > self._given):
            parts, size = [], 0
            while self._held and size < self._rate:
                part = self._held.pop(0)
                parts.append(part[: self._rate - size])
                if len(part) > len(parts[-1]):
                    self._held.insert(0, part[self._rate - size :])
                size += len(parts[-1])
            yield Sound(self._given / self._rate, np.concatenate(parts))
            self._given += size

    def _begin(self, frame: AudioFrame, zero: float) -> float:
        """When the frame is heard, by its stamp or, without one, after the one before."""
        expected = self.seconds if self._follows is None else self._follows
        if frame.pts is None or frame.time_base is None:
            return expected
        stamp = float(frame.pts * frame.time_base) - zero + self._shift
        if self._count and stamp < expected - _RESTART:
            self._shift += expected - stamp
            return expected
        return stamp

    def _place(self, index: int) -> None:
        """Let the next run begin at sample ``index``: after silence, or cut where it overlaps."""
        gap = min(index, self._total) - self._count
        self._skip = max(-gap, 0)
        if gap > 0:
            # One zero seen many times: a gap of hours takes no memory.
            self._held.append(np.broadcast_to(np.float32(0), gap))
            self._count += gap

    def _take(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            samples: Samples = frame.to_ndarray()[0]
            skipped = min(self._skip, len(samples))
            self._skip -= skipped
            samples = samples[skipped : skipped + self._total - self._count]
            if len(samples):
                # What is no number or far too loud comes from damage.
                self._held.append(np.clip(np.nan_to_num(samples), -4, 4))
                self._count += len(samples)


def _stream(container: InputContainer, info: VideoInfo, language: str | None) -> AudioStream:
    """The track to listen to: in the language asked for, else the default one, else the first."""
    from av.stream import Disposition

    streams = container.streams.audio
    if not streams:
        raise NoAudio(f"{info.path} has no sound.")
    playable = [s for s in streams if s.codec_context is not None]
    if not playable:
        raise MediaError(f"{info.path} has sound in a format that this FFmpeg cannot decode.")

    def rank(stream: AudioStream) -> tuple[bool, bool, bool]:
        beside = Disposition.comment | Disposition.visual_impaired | Disposition.dub
        return (
            same_language(stream.language, language),
            not stream.disposition & beside,
            bool(stream.disposition & Disposition.default),
        )

    chosen = max(playable, key=rank)
    if "enc_key_id" in chosen.metadata:  # Matroska; an mp4 says it packet by packet
        raise encrypted(info.path)
    return chosen


def _rest(stream: AudioStream) -> list[AudioFrame]:
    """What the decoder still holds at the end."""
    import av

    try:
        return stream.codec_context.decode(None)
    except av.FFmpegError:
        return []


def _damage(path: Location, since: float, until: float) -> str:
    return (
        f"The sound of {path} cannot be decoded from {since:.1f} to {until:.1f} s; it is damaged."
    )
