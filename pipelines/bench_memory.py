"""Peak memory of scanning one hour and four hours of the same kind of video.

    python pipelines/bench_memory.py [--hours 1 4] [--containers mkv mp4] [--json FILE]

Two fresh processes for each video: one scans it (probe, scan at 1 fps, measure, cut into clips),
one does all that indexing does. The videos are rendered into a temporary folder (320x180 at 30 fps,
B-frames, key frame every 250 frames at most). Of an mp4 FFmpeg keeps the table of all samples in
memory, about 60 bytes a frame and half as much again while opening; mkv has no such table.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

SECONDS_PER_SHOT = 20
RATE = 30
WIDTH, HEIGHT = 320, 180


def render(path: Path, hours: float) -> None:
    """Moving gradients with a cut every 20 s: cheap to encode, never still."""
    import av

    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    # One shot's pictures are made once: the same motion in a new tint each time.
    luma = [
        (128 + 100 * np.sin((columns + 3 * n) / 20) * np.cos(rows / 25)).astype(np.uint8)
        for n in range(RATE * SECONDS_PER_SHOT)
    ]
    options = {"preset": "ultrafast", "crf": "32", "bf": "2"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = 250
        for number in range(int(hours * 3600 * RATE)):
            shot, within = divmod(number, RATE * SECONDS_PER_SHOT)
            picture = np.empty((HEIGHT * 3 // 2, WIDTH), np.uint8)
            picture[:HEIGHT] = luma[within]
            picture[HEIGHT : HEIGHT * 5 // 4] = 64 + 37 * shot % 128
            picture[HEIGHT * 5 // 4 :] = 64 + 91 * shot % 128
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def scan_once(path: Path) -> dict[str, float]:
    """Scan ``path`` in this process."""
    from videopipe.media import probe, scan
    from videopipe.scan import cut_clips, find_cuts, measure

    began = time.process_time()
    info = probe(path)
    signals = measure(scan(info))
    clips = cut_clips("bench", info.duration, find_cuts(signals, info.keyframes))
    return {
        "frames": len(signals.times),
        "clips": len(clips),
        "cpu_s": time.process_time() - began,
        "scan_mb": peak_mb(),
    }


def index_once(path: Path) -> dict[str, float]:
    """Index ``path`` in this process."""
    from videopipe.config import Config
    from videopipe.ingest import Job, index_video

    index_video(Job(path, Config()), lambda *_: None)
    return {"index_mb": peak_mb()}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, nargs="+", default=[1.0, 4.0])
    parser.add_argument("--containers", nargs="+", default=["mkv", "mp4"])
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--one", choices=["scan", "index"], help=argparse.SUPPRESS)
    parser.add_argument("video", type=Path, nargs="?", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        work = {"scan": scan_once, "index": index_once}[options.one]
        print(json.dumps(work(options.video)))
        return
    print("file   hours  frames  clips  scan CPU s  scan MB  ratio  index MB  ratio")
    rows: list[dict[str, Any]] = []
    for container in options.containers:
        base: dict[str, Any] = {}
        for hours in options.hours:
            row: dict[str, Any] = {"container": container, "hours": hours}
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"film.{container}"
                render(path, hours)
                for one in ("scan", "index"):
                    command = [sys.executable, __file__, str(path), "--one", one]
                    done = subprocess.run(command, check=True, capture_output=True, text=True)
                    row |= json.loads(done.stdout)
            rows.append(row)
            base = base or row
            print(
                f"{container:5} {hours:>6g} {row['frames']:>7} {row['clips']:>6} "
                f"{row['cpu_s']:>11.1f} {row['scan_mb']:>8.1f} "
                f"{row['scan_mb'] / base['scan_mb']:>6.3f} {row['index_mb']:>9.1f} "
                f"{row['index_mb'] / base['index_mb']:>6.3f}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
