"""Sound: where each sample lies on the clock of the pictures, whatever the file does."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from videos import make_video

from videopipe.errors import MediaError, NotFound
from videopipe.media import NoAudio, Sound, audio, probe
from videopipe.media.audio import _Line

Samples = NDArray[np.float32]
RATE = 16_000


def film(
    path: Path,
    runs: Sequence[tuple[float, Samples]],
    *,
    rate: int = RATE,
    codec: str = "pcm_s16le",
    layout: str = "mono",
    first: float = 0.0,
    seconds: float = 4.0,
    languages: Sequence[str] = ("eng",),
) -> Path:
    """A video whose first picture is shown at ``first`` on the file's clock.

    Args:
        runs: sound and the second of the file's clock at which it begins; in each track the same,
            but half as loud as in the one before.
        seconds: length of the pictures, one every 0.1 s.
    """
    with av.open(str(path), "w") as container:
        picture: Any = container.add_stream("mpeg4", rate=10)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        picture.codec_context.time_base = Fraction(1, 1000)
        tracks: list[Any] = []
        for language in languages:
            tracks.append(container.add_stream(codec, rate=rate, layout=layout))
            tracks[-1].metadata["language"] = language
        container.start_encoding()
        for number in range(round(seconds * 10)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")
            frame.pts, frame.time_base = round(first * 1000) + number * 100, Fraction(1, 1000)
            container.mux(picture.encode(frame.reformat(format="yuv420p")))
        container.mux(picture.encode(None))
        for loud, track in enumerate(tracks):
            _encode(container, track, runs, rate, layout, 0.5**loud)
    return path


def _encode(
    container: Any,
    track: Any,
    runs: Sequence[tuple[float, Samples]],
    rate: int,
    layout: str,
    loud: float,
) -> None:
    size = track.codec_context.frame_size or 1024
    form = track.codec_context.format.name
    for start, samples in runs:
        for at in range(0, len(samples), size):
            part = samples[None, at : at + size] * loud
            sound = av.AudioFrame.from_ndarray(part.astype(np.float32), "fltp", "mono")
            sound.sample_rate = rate
            sound.pts = None
            for frame in av.AudioResampler(form, layout, rate).resample(sound):
                frame.pts, frame.time_base = round(start * rate) + at, Fraction(1, rate)
                container.mux(track.encode(frame))
    container.mux(track.encode(None))


def clicks(seconds: float, times: Sequence[float], rate: int = RATE) -> Samples:
    """Silence with a loud instant at each of ``times``."""
    samples = np.zeros(round(seconds * rate), np.float32)
    for time in times:
        samples[round(time * rate)] = 0.9
    return samples


def heard(sounds: Sequence[Sound]) -> Samples:
    """All samples, after a look at whether they hang together."""
    place = 0
    for sound in sounds:
        assert sound.start == pytest.approx(place / RATE, abs=1e-9)
        assert sound.samples.dtype == np.float32
        assert 0 < len(sound.samples) <= RATE
        place += len(sound.samples)
    return np.concatenate([sound.samples for sound in sounds])


def instants(samples: Samples) -> list[float]:
    """The seconds of the clicks."""
    loud = np.abs(samples)
    found: list[float] = []
    while loud.max(initial=0) > 0.05:
        place = int(loud.argmax())
        found.append(place / RATE)
        loud[max(place - 800, 0) : place + 800] = 0
    return sorted(found)


@pytest.mark.parametrize(
    ("suffix", "codec", "rate", "layout"),
    [
        (".mkv", "pcm_s16le", 8_000, "mono"),
        (".mov", "pcm_s16le", 44_100, "stereo"),
        (".mp4", "aac", 44_100, "stereo"),
        (".mkv", "aac", 48_000, "mono"),
        (".mkv", "libopus", 48_000, "stereo"),
        (".mkv", "flac", 22_050, "mono"),
        (".avi", "libmp3lame", 44_100, "stereo"),
        (".mkv", "ac3", 48_000, "5.1"),
    ],
)
def test_every_codec_is_heard_when_it_sounds(
    tmp_path: Path, suffix: str, codec: str, rate: int, layout: str
) -> None:
    times = [0.5, 1.25, 2.0, 3.1]
    path = tmp_path / f"film{suffix}"
    film(path, [(0.0, clicks(3.9, times, rate))], rate=rate, codec=codec, layout=layout)
    # An AVI does not say how long its MP3 encoder took to get going.
    within = 0.03 if suffix == ".avi" else 0.002
    assert instants(heard(list(audio(path)))) == pytest.approx(times, abs=within)


@pytest.mark.parametrize(("first", "start"), [(0.0, 0.7), (0.6, 0.0), (2.0, 1.2), (3.0, 3.0)])
def test_zero_is_the_first_picture(tmp_path: Path, first: float, start: float) -> None:
    path = film(
        tmp_path / "film.mkv", [(start, clicks(3, [0.1, 1.0, 2.5]))], first=first, seconds=4
    )
    info = probe(path)
    assert info.start == pytest.approx(first)
    expected = [start + time - first for time in (0.1, 1.0, 2.5)]
    sounds = list(audio(info))
    assert sounds[0].start == 0
    assert instants(heard(sounds)) == pytest.approx([t for t in expected if t >= 0], abs=0.002)


def test_a_hole_in_the_times_is_silence(tmp_path: Path) -> None:
    runs = [(0.0, clicks(1, [0.5])), (2.5, clicks(1, [0.25]))]
    samples = heard(list(audio(film(tmp_path / "film.mkv", runs))))
    assert len(samples) == pytest.approx(3.5 * RATE, abs=32)
    assert instants(samples) == pytest.approx([0.5, 2.75], abs=0.002)
    assert not samples[round(1.02 * RATE) : round(2.48 * RATE)].any()


def test_sound_ends_with_the_pictures(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", [(0.0, clicks(9, [1, 5, 8]))], seconds=3)
    samples = heard(list(audio(path)))
    assert len(samples) == 3 * RATE
    assert instants(samples) == pytest.approx([1], abs=0.002)


def test_the_track_in_the_language_asked_for(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", [(0.0, clicks(2, [1]))], languages=("eng", "ger"))
    for language, loud in ((None, 0.9), ("en", 0.9), ("de-AT", 0.45), ("fr", 0.9)):
        samples = heard(list(audio(path, language=language)))
        assert np.abs(samples).max() == pytest.approx(loud, rel=0.05)


def test_other_rates(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", [(0.0, clicks(2.5, [1]))])
    sounds = list(audio(path, 8_000))
    assert [len(sound.samples) for sound in sounds] == [8_000, 8_000, 4_000]
    assert np.abs(sounds[1].samples).argmax() <= 1


def test_a_video_without_sound(tmp_path: Path) -> None:
    path = make_video(tmp_path / "film.mp4", seconds=1)
    with pytest.raises(NoAudio, match=r"film.mp4 has no sound\.$"):
        list(audio(path))
    with pytest.raises(NotFound):
        list(audio(tmp_path / "nothing.mp4"))


def spoilt(path: Path, share: tuple[float, float]) -> Path:
    """The file with every packet of sound in this part of its length made garbage."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        (track,) = container.streams.audio
        packets = [(p.pos, p.size) for p in container.demux(track) if p.size]
    for pos, size in packets[int(share[0] * len(packets)) : int(share[1] * len(packets))]:
        data[pos + 8 : pos + size] = b"\xff" * (size - 8)
    path.write_bytes(data)
    return path


def test_damage_is_told_and_is_silence(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    # Noise keeps the packets from being so small that nothing is left to spoil.
    samples = clicks(8, [0.5, 7]) + rng.normal(0, 0.002, 8 * RATE).astype(np.float32)
    path = film(tmp_path / "film.mkv", [(0.0, samples)], codec="flac", seconds=8)
    damage: list[str] = []
    assert len(list(audio(spoilt(path, (0.4, 0.6)), on_damage=damage.append))) == 8
    (told,) = damage
    assert "film.mkv cannot be decoded from" in told
    since, until = (float(word) for word in told.split() if word.replace(".", "").isdigit())
    assert 2.5 < since < 4.0 < until < 6.0
    samples = heard(list(audio(path)))
    assert instants(samples) == pytest.approx([0.5, 7], abs=0.002)
    assert not samples[round((since + 0.6) * RATE) : round((until - 0.6) * RATE)].any()


def test_nothing_but_damage_is_an_error(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    path = film(tmp_path / "film.mkv", [(0.0, noise)], codec="flac", seconds=2)
    with pytest.raises(MediaError, match=r"sound of .*film.mkv cannot be decoded"):
        list(audio(spoilt(path, (0.0, 1.0))))


def test_a_file_that_ends_too_soon(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", [(0.0, clicks(8, [0.5, 7]))], seconds=8)
    info = probe(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert instants(heard(list(audio(info)))) == pytest.approx([0.5], abs=0.002)


def test_hours_of_nothing_take_no_memory(tmp_path: Path) -> None:
    hours = 2 * 3600.0
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        picture: Any = container.add_stream("mpeg4", rate=10)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        picture.codec_context.time_base = Fraction(1, 1000)
        track: Any = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for seconds in (0, round(hours)):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = seconds * 1000, Fraction(1, 1000)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        runs = [(0.0, clicks(1, [0.5])), (hours - 1, clicks(1, [0.5]))]
        _encode(container, track, runs, RATE, "mono", 1)
    info = probe(path)
    tracemalloc.start()
    found = [s.start for s in audio(info) if np.abs(s.samples).max() > 0.5]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [0.0, hours - 1]
    assert peak < 5_000_000


@given(
    runs=st.lists(st.tuples(st.floats(-2, 6), st.integers(1, 3 * RATE)), min_size=1, max_size=6),
    duration=st.floats(0.5, 8),
)
@settings(max_examples=60, deadline=None)
def test_runs_of_any_times_are_put_one_after_another(
    runs: list[tuple[float, int]], duration: float
) -> None:
    """Compared with samples written into an array, the first of any overlap left as it is."""
    line = _Line(RATE, duration)
    expected = np.zeros(round(duration * RATE) + 10 * RATE, np.float32)
    filled, after, follows = 0, 0, None
    sounds: list[Sound] = []
    for number, (start, count) in enumerate(runs, 1):
        if follows is not None and abs(start - follows) <= 0.05:
            start = follows  # a stamp this near is the count of samples, less rounding
        samples = np.full(count, number / 10, np.float32)
        frame = av.AudioFrame.from_ndarray(samples[None], "flt", "mono")
        frame.sample_rate, frame.pts = RATE, round((start + 5) * RATE)
        frame.time_base = Fraction(1, RATE)
        assert line.add(frame, 5.0)
        place = after if start == follows else round(start * RATE)
        cut, after = max(filled - place, 0), place + count
        if cut < count:
            expected[place + cut : after] = samples[cut:]
        filled = max(filled, after)
        follows = start + count / RATE
        sounds += line.ready()
    line.end()
    sounds += line.ready(last=True)
    total = min(filled, round(duration * RATE))
    found = heard(sounds) if sounds else np.zeros(0, np.float32)
    assert abs(len(found) - total) <= 1
    differ = np.flatnonzero(found[:total] != expected[: len(found)][:total])
    assert len(differ) <= len(runs)  # a stamp is rounded to a sample


def test_a_clock_that_starts_anew_goes_on() -> None:
    line = _Line(RATE, 100)
    for number, start in enumerate((20.0, 20.5, 0.0, 0.5)):
        frame = av.AudioFrame.from_ndarray(np.full((1, 8000), number, np.float32), "flt", "mono")
        frame.sample_rate, frame.pts = RATE, round(start * RATE)
        frame.time_base = Fraction(1, RATE)
        assert line.add(frame, 20.0)
    line.end()
    samples = heard(list(line.ready(last=True)))
    assert samples[::8000].tolist() == [0, 1, 2, 3]


def test_what_claims_an_impossible_rate_is_no_sound() -> None:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 64), np.float32), "flt", "mono")
    frame.sample_rate = 1
    assert not _Line(RATE, 100).add(frame, 0.0)


@pytest.mark.media
@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("tc_nasa13013.mp4", 13.01),
        ("dj_video3.mp4", 49.57),
        ("ian_tos.webm", 70.46),
        ("mp_chaplin.mp4", 9.6),
        ("mp_noduration.webm", 4.9),
        ("decord_pancake.mkv", 10.33),
        ("vllava_demo.mp4", 31.53),
    ],
)
def test_real_videos(media: Path, name: str, seconds: float) -> None:
    damage: list[str] = []
    samples = heard(list(audio(media / name, on_damage=damage.append)))
    assert len(samples) / RATE == pytest.approx(seconds, abs=0.05)
    assert np.abs(samples).max() <= 4
    assert damage == []
