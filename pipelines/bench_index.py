"""Seconds per hour of video by stage, beside ffmpeg's own 1 fps pass over the same file.

    python pipelines/bench_index.py [VIDEO] [--minutes 10] [--rounds 3] [--landmarks] [--json FILE]

Without VIDEO a 1280x720, 30 fps H.264 file is rendered (x264 veryfast, B-frames, key frame every
250 frames at most, moving noise textures, cuts, and slides with text). The two sides run
alternately in fresh processes; the figures are medians of user + system CPU seconds and of wall
seconds, scaled to an hour of video. The ffmpeg side needs ffmpeg on the PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

RATE = 30
OURS = {"videopipe": True, "without landmarks": False}  # whether landmarks are followed
SHOT_SECONDS = 12


def render(path: Path, minutes: float) -> None:
    """A seeded film of panning textures and slides, a cut every 12 s."""
    import av
    from PIL import Image, ImageDraw, ImageFont

    generator = np.random.default_rng(0)
    font = ImageFont.load_default(44)

    def texture() -> Image.Image:
        coarse = generator.integers(0, 255, (24, 48, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((1800, 900), Image.Resampling.BICUBIC)
        grain = generator.normal(0, 8, (900, 1800, 1))
        return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))

    def slide(number: int) -> Image.Image:
        picture = Image.new("RGB", (1800, 900), (245, 244, 240))
        draw = ImageDraw.Draw(picture)
        for line in range(5):
            text = f"Point {line + 1} of slide {number}: item {generator.integers(1000, 9999)}"
            draw.text((120, 120 + 90 * line), text, fill=(30, 40, 60), font=font)
        return picture

    with av.open(str(path), "w") as container:
        options = {"preset": "veryfast", "crf": "26", "threads": "2"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.codec_context.gop_size = 250
        stream.codec_context.time_base = Fraction(1, RATE)
        for shot in range(int(minutes * 60 / SHOT_SECONDS)):
            still = shot % 3 == 2
            wide = np.asarray(slide(shot) if still else texture())
            for step in range(SHOT_SECONDS * RATE):
                left = 0 if still else step
                frame = av.VideoFrame.from_ndarray(
                    np.ascontiguousarray(wide[90:810, left : left + 1280]), format="rgb24"
                )
                frame.pts = shot * SHOT_SECONDS * RATE + step
                for packet in stream.encode(frame):
                    container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def ours(path: Path, landmarks: bool) -> dict[str, float]:
    """Index ``path`` in this process; wall seconds by stage."""
    from videopipe.config import Config
    from videopipe.ingest import Job, index_video

    config = Config()
    config = replace(config, scan=replace(config.scan, landmarks=landmarks))
    record = index_video(Job(path, config), lambda *_: None)
    return record.stage_seconds


def timed(command: list[str]) -> dict[str, Any]:
    """Run ``command``; its output, wall and CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"wall_s": wall, "cpu_s": cpu, "output": done.stdout}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--minutes", type=float, default=10, help="length of the rendered video")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--landmarks", action="store_true", help="what they cost in the scan")
    parser.add_argument("--one", choices=sorted(OURS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(ours(options.video, OURS[options.one])))
        return
    with tempfile.TemporaryDirectory() as folder:
        video = options.video
        if video is None:
            video = Path(folder) / "bench.mp4"
            render(video, options.minutes)
        report(video, options.rounds, list(OURS)[: 1 + options.landmarks], options.json)


def report(video: Path, rounds: int, own: list[str], out: Path | None) -> None:
    from videopipe.media import probe

    info = probe(video)
    per_hour = 3600 / info.duration
    ffmpeg = shutil.which("ffmpeg")
    sides: dict[str, list[dict[str, Any]]] = {name: [] for name in (*own, "ffmpeg")}
    for _ in range(rounds):
        for name in own:
            sides[name].append(timed([sys.executable, __file__, str(video), "--one", name]))
        if ffmpeg:
            filters = "fps=1,scale=-2:224"
            sides["ffmpeg"].append(
                timed([ffmpeg, "-v", "error", "-i", str(video), "-vf", filters, "-f", "null", "-"])
            )
    stages, *without = [[json.loads(run["output"]) for run in sides[name]] for name in own]
    figures: dict[str, Any] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "video": f"{info.width}x{info.height}, {info.rate:.2f} fps, {info.codec}, "
        f"{info.duration:.0f} s",
        "rounds": rounds,
        "stages_wall_s_per_hour": {
            name: median(stage[name] for stage in stages) * per_hour for name in stages[0]
        },
        "sides": {
            name: {key: median(run[key] for run in runs) * per_hour for key in ("wall_s", "cpu_s")}
            for name, runs in sides.items()
            if runs
        },
    }
    print(
        f"{figures['video']}; {figures['machine']}; median of {rounds}; seconds per hour of video"
    )
    for name, seconds in figures["stages_wall_s_per_hour"].items():
        print(f"  {name:12} {seconds:8.1f} wall")
    for name, side in figures["sides"].items():
        print(f"{name:17} {side['wall_s']:8.1f} wall {side['cpu_s']:8.1f} CPU")
    for other in without:
        ratio = median(run["scan"] for run in stages) / median(run["scan"] for run in other)
        print(f"scan with landmarks / without: {ratio:.2f} of its wall time")
    if ffmpeg:
        scan = figures["stages_wall_s_per_hour"]["scan"]
        floor = figures["sides"]["ffmpeg"]["wall_s"]
        print(f"our scan / ffmpeg fps=1,scale=-2:224: {scan / floor:.2f} of its wall time")
    else:
        print("ffmpeg is not on the PATH: install it for the comparison", file=sys.stderr)
    if out:
        out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
