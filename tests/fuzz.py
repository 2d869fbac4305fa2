"""Damages small videos in every way at hand and looks at them: run as a process of its own.

    python tests/fuzz.py FOLDER FIRST COUNT

The mutants of seeds ``FIRST`` to ``FIRST + COUNT`` are probed, scanned and fetched from one after
the other. Each seed is written to ``FOLDER/seed`` beforehand, so that a crash can be told, and the
result to ``FOLDER/result.json``. A mutant is made again by its seed alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from videos import make_video

from videopipe.errors import VideopipeError
from videopipe.media import fetch, probe, scan

DEADLINE = 5.0  # seconds for a frame
PICTURE = {"size": (64, 48), "seconds": 0.6, "gop": 6}
WARM_UP = 100

SOURCES: dict[str, dict[str, Any]] = {
    "a.mp4": {"bframes": 2, "audio": True},
    "front.mp4": {"bframes": 2, "mux": {"movflags": "+faststart"}},
    "fragmented.mp4": {"bframes": 2, "mux": {"movflags": "+frag_keyframe+empty_moov"}},
    "av1.mp4": {"codec": "libsvtav1"},
    "hevc.mkv": {"codec": "libx265", "bframes": 2},
    "mjpeg.mkv": {"codec": "mjpeg", "pixel_format": "yuvj420p", "seconds": 0.3},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "a.ts": {"bframes": 2},
    "mpeg4.avi": {"codec": "mpeg4", "bframes": 1},
    "mpeg2.mpg": {"codec": "mpeg2video", "bframes": 1},
    "a.flv": {},
    "prores.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le", "seconds": 0.2},
}
# Where a structure is: the tags of mp4 boxes and AVI chunks, the identifiers of Matroska elements.
TAGS = (
    *(b"moov mvhd trak tkhd edts elst mdia mdhd hdlr stbl stsd avc1 avcC stts ctts stss".split()),
    *(b"stsc stsz stco mdat moof mfhd traf tfhd tfdt trun mvex trex udta".split()),
    *(b"RIFF LIST avih strh strf idx1 00dc movi onMetaData FLV".split()),
    b"\x1a\x45\xdf\xa3",  # EBML
    b"\x18\x53\x80\x67",  # Segment
    b"\x15\x49\xa9\x66",  # Info
    b"\x16\x54\xae\x6b",  # Tracks
    b"\x1f\x43\xb6\x75",  # Cluster
    b"\x1c\x53\xbb\x6b",  # Cues
    b"\x2a\xd7\xb1",  # TimestampScale
    b"\x44\x89",  # Duration
    b"\x63\xa2",  # CodecPrivate
    b"\xae",  # TrackEntry
    b"\xa3",  # SimpleBlock
    b"\xb0",  # PixelWidth
    b"\x00\x00\x01\xb3",  # MPEG-2 sequence header
    b"\x00\x00\x01\xba",  # pack header
    b"\x00\x00\x00\x01\x67",  # H.264 sequence parameters
    b"\x47\x41\x00",  # MPEG-TS packet that begins something
)
EXTREMES = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

Random = np.random.Generator


def flip_anywhere(data: bytearray, random: Random) -> None:
    for at in random.integers(0, len(data), int(2 ** random.uniform(0, 6))):
        data[at] = random.integers(256)


def flip_header(data: bytearray, random: Random) -> None:
    """Within the first kilobyte or the last two, where most formats have their index."""
    places = random.integers(-min(2048, len(data)), min(1024, len(data)), random.integers(1, 16))
    for at in places:
        data[at] = random.integers(256)


def change_field(data: bytearray, random: Random) -> None:
    """A number in or before some structure becomes an extreme one."""
    tag = TAGS[random.integers(len(TAGS))]
    places = [at for at in range(len(data)) if data.startswith(tag, at)]
    if places:
        at = places[random.integers(len(places))] + len(tag) + int(random.choice([-8, 0, 4, 8, 12]))
        width = int(random.choice([1, 2, 4, 8]))
        value = EXTREMES[random.integers(len(EXTREMES))] % 256**width
        data[max(at, 0) : max(at, 0) + width] = value.to_bytes(width, "big")


def change_any_field(data: bytearray, random: Random) -> None:
    at = random.integers(len(data)) // 4 * 4
    value = EXTREMES[random.integers(len(EXTREMES))]
    data[at : at + 4] = value.to_bytes(4, random.choice(["big", "little"]))


def remove(data: bytearray, random: Random) -> None:
    at = random.integers(len(data))
    del data[at : at + int(2 ** random.uniform(0, 11))]


def repeat(data: bytearray, random: Random) -> None:
    at, to = random.integers(len(data), size=2)
    data[to:to] = data[at : at + int(2 ** random.uniform(0, 12))]


def blank(data: bytearray, random: Random) -> None:
    at = random.integers(len(data))
    length = min(int(2 ** random.uniform(0, 11)), len(data) - at)
    data[at : at + length] = bytes([random.choice([0, 255])]) * length


def cut(data: bytearray, random: Random) -> None:
    del data[random.integers(len(data)) :]


WAYS: tuple[Callable[[bytearray, Random], None], ...] = (
    flip_anywhere,
    flip_header,
    flip_header,
    change_field,
    change_field,
    change_field,
    change_any_field,
    remove,
    repeat,
    blank,
    cut,
)


def sources(folder: Path) -> dict[str, bytes]:
    return {
        name: make_video(folder / name, **PICTURE | arguments).read_bytes()
        for name, arguments in SOURCES.items()
    }


def mutant(originals: dict[str, bytes], seed: int) -> tuple[str, bytes]:
    """Which source was taken, and what became of it."""
    random = np.random.default_rng(seed)
    name = list(originals)[seed % len(originals)]
    data = bytearray(originals[name])
    for way in random.choice(len(WAYS), random.integers(1, 4)):
        if data:
            WAYS[way](data, random)
    return name, bytes(data)


def look(path: Path) -> int:
    """Everything that can be done with a file; how many frames were seen."""
    info = probe(path)
    told: list[str] = []
    batches = scan(info, 10.0, 32, batch_size=8, deadline=DEADLINE, on_damage=told.append)
    seen = sum(len(batch) for batch in islice(batches, 4))
    middle = fetch(info, [0.0, info.duration / 2], 32, deadline=DEADLINE)
    return seen + len(middle)


def outcome(path: Path) -> str:
    """``frames``, ``refused``, or what else came out, which must never be."""
    try:
        return "frames" if look(path) else "nothing"
    except VideopipeError as error:
        sentence = str(error)
        good = "\n" not in sentence and sentence.endswith(".") and str(path) in sentence
        return "refused" if good else f"not one sentence: {error!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def peak() -> int:
    """The most memory that this process has held so far, in megabytes."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) // 1024


def main(folder: Path, first: int, count: int) -> None:
    originals = sources(folder)
    outcomes: dict[str, list[int]] = {}
    slowest, base = (0.0, -1), 0
    for place, seed in enumerate(range(first, first + count)):
        if place == min(WARM_UP, count // 2):
            Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of before
            base = peak()
        name, data = mutant(originals, seed)
        path = folder / f"{seed}-{name}"
        path.write_bytes(data)
        (folder / "seed").write_text(f"{seed} of {name}")
        begin = time.monotonic()
        outcomes.setdefault(outcome(path), []).append(seed)
        slowest = max(slowest, (time.monotonic() - begin, seed))
        path.unlink()
    result = {"outcomes": outcomes, "slowest": slowest, "grown_mb": peak() - base}
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
