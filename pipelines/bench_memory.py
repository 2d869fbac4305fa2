"""Peak memory of scanning one hour and four hours of the same kind of video.

    python pipelines/bench_memory.py [--hours 1 4] [--json FILE]

Each scan runs in a fresh process: probe, scan at 1 fps, measure, cut into clips. The videos are
rendered once into a temporary folder (640x360 at 10 fps, key frame every 25 s at most).
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

import numpy as np

SECONDS_PER_SHOT = 20
RATE = 10


def render(path: Path, hours: float) -> None:
    """Moving gradients with a cut every 20 s: cheap to encode, never still."""
    import av

    rows, columns = np.mgrid[0:360, 0:640].astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.codec_context.gop_size = 250
        stream.codec_context.time_base = Fraction(1, RATE)
        # One shot's pictures are made once: the same motion in a new tint each time.
        luma = [
            (128 + 100 * np.sin((columns + 9 * n) / 40) * np.cos(rows / 50)).astype(np.uint8)
            for n in range(RATE * SECONDS_PER_SHOT)
        ]
        for number in range(int(hours * 3600 * RATE)):
            shot, within = divmod(number, RATE * SECONDS_PER_SHOT)
            picture = np.empty((540, 640), np.uint8)
            picture[:360] = luma[within]
            picture[360:450] = 64 + 37 * shot % 128
            picture[450:] = 64 + 91 * shot % 128
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts = number
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def scan_once(path: Path) -> dict[str, float]:
    """Scan ``path`` in this process; seconds and peak memory of the process."""
    from videopipe.media import probe, scan
    from videopipe.scan import cut_clips, find_cuts, measure

    began = time.process_time()
    info = probe(path)
    signals = measure(scan(info))
    clips = cut_clips("bench", info.duration, find_cuts(signals, info.keyframes))
    return {
        "duration_s": info.duration,
        "frames": len(signals.times),
        "clips": len(clips),
        "cpu_s": time.process_time() - began,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, nargs="+", default=[1.0, 4.0])
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--scan", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scan:
        print(json.dumps(scan_once(options.scan)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for hours in options.hours:
            path = Path(folder) / f"{hours:g}h.mp4"
            render(path, hours)
            command = [sys.executable, __file__, "--scan", str(path)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rows.append({"hours": hours, **json.loads(output)})
            path.unlink()
    print(f"{'hours':>6} {'frames':>7} {'clips':>6} {'CPU s':>7} {'peak RSS MB':>12} {'ratio':>6}")
    for row in rows:
        ratio = row["peak_rss_mb"] / rows[0]["peak_rss_mb"]
        print(
            f"{row['hours']:>6g} {row['frames']:>7.0f} {row['clips']:>6.0f} {row['cpu_s']:>7.1f} "
            f"{row['peak_rss_mb']:>12.1f} {ratio:>6.3f}"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
