"""The MLLM adapter beside the model's own processor and generate: pixels, first token, memory.

    python pipelines/bench_mllm.py [--rounds 2] [--frames 32] [--families qwen2_5_vl ...]
        [--only pack model] [--gpu] [--json FILE]

- pack: frames to pixel tensors, for each family, at the settings of the published checkpoints:
  FRAMES of 360p and a quarter as many of 1080p, CPU seconds. "limit" is what cannot be saved: the
  resizing, and writing the result once. "same" says whether every byte is the official one's.
- model: from frames to the first token of an answer, CPU seconds, and peak memory. Random weights
  of a small Qwen2.5-VL, FRAMES of 360p. Sides: the official processor and generate; generate on
  our pixels; ours at the same resolution; ours within budgets of visual tokens, by sizing the
  frames (none) and by pooling four tokens to one (pool). "net" is the peak beyond that of the
  loaded and warmed-up process.
- --gpu: the same, in a Qwen2.5-VL of the 7B's shape with random bfloat16 weights, 64 frames of
  720p, budgets of 1k to 16k; wall seconds of a synchronised device, and memory that torch
  allocated, of which "net" is beyond the weights.

On the CPU each side is a fresh process with one thread, and the sides take turns; on a GPU they
take turns in one process. Figures are medians over the rounds. Ratios are ours to official, or to
generate on our pixels where torchvision, which the official processors need, is missing. CPU
seconds rather than wall: other work on the machine still inflates them, of all sides alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from _bench_mllm_sides import rotated
from _bench_models import PUBLISHED, write_folder

PARTS = ("pack", "model")
CPU_BUDGETS = (512, 1024, 2048, 4096)
GPU_BUDGETS = (1024, 2048, 4096, 8192, 16384)
GPU_CLIP = (64, 720, 1280)
_SCRIPT = Path(__file__).with_name("_bench_mllm_sides.py")
_LIMIT_SECONDS = 1200  # for one process

Row = dict[str, Any]


def child(job: Row) -> Row:
    """One side in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), json.dumps(job)],
        capture_output=True,
        text=True,
        timeout=_LIMIT_SECONDS,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return {"reason": f"exit code {done.returncode}: {last[0][:160]}"}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def medians(runs: list[Row]) -> Row:
    """The median of each figure, or the reason why there is none."""
    if "reason" in runs[-1]:
        return runs[-1]
    return {
        figure: median(run[figure] for run in runs)
        if isinstance(value, int | float) and figure != "sum"
        else value
        for figure, value in runs[0].items()
    }


def ratio(part: float, whole: float | None) -> str:
    return f"{part / whole:.2f}" if whole else "–"


def packing(options: argparse.Namespace, work: Path) -> Row:
    """Both sides of each family and clip, and the table."""
    clips = {
        f"{options.frames} x 360p": (options.frames, 360, 640),
        f"{max(1, options.frames // 4)} x 1080p": (max(1, options.frames // 4), 1080, 1920),
    }
    job = {"part": "pack", "work": str(work), "families": options.families, "clips": clips}
    runs: dict[str, list[Row]] = {"ours": [], "official": []}
    for number in range(options.rounds):
        for side in rotated(list(runs), number):
            runs[side].append(child(job | {"side": side}))
    for side in runs:
        if "reason" in runs[side][-1]:
            print(f"\n{side}: {runs[side][-1]['reason']}")
    if "reason" in runs["ours"][-1]:
        return {}
    print("\npack: CPU seconds")
    print(
        f"{'family':17} {'clip':>11} {'size':>10} {'ours':>7} {'official':>8} {'ratio':>6} "
        f"{'resize':>7} {'write':>7} {'ours/limit':>10}  same"
    )
    figures: Row = {}
    for name in runs["ours"][0]:
        family, clip = name.split(" ", 1)
        ours = medians([run[name] for run in runs["ours"]])
        row: Row = {"ours": ours}
        whole = None
        if "reason" not in runs["official"][-1]:
            row["official"] = medians([run[name] for run in runs["official"]])
            whole = row["official"]["cpu_s"]
            row["ratio"] = ours["cpu_s"] / whole
            row["same"] = ours["sum"] == row["official"]["sum"]
        row["to_limit"] = ours["cpu_s"] / (ours["resize_s"] + ours["write_s"])
        figures[name] = row
        size = "x".join(map(str, ours["size"]))
        same = {True: "yes", False: "NO", None: "–"}[row.get("same")]
        print(
            f"{family:17} {clip:>11} {size:>10} {ours['cpu_s']:7.3f} "
            f"{f'{whole:8.3f}' if whole else '       –'} {ratio(ours['cpu_s'], whole):>6} "
            f"{ours['resize_s']:7.3f} {ours['write_s']:7.3f} {row['to_limit']:10.2f}  {same}",
            flush=True,
        )
    return figures


def sides(budgets: tuple[int, ...]) -> dict[str, Row]:
    """By name: who answers, and within how many tokens."""
    named: dict[str, Row] = {
        "official": {"side": "official", "budget": None},
        "generate, our pixels": {"side": "pixels", "budget": None},
        "ours, same size": {"side": "ours", "budget": None},
    }
    for method in ("none", "pool"):
        for budget in budgets:
            named[f"ours, {method} {budget}"] = {
                "side": "ours",
                "budget": budget,
                "method": method,
            }
    return named


def on_cpu(options: argparse.Namespace, work: Path) -> Row:
    """The small model's sides, each a process, and the table."""
    clip = (options.frames, 360, 640)
    named = sides(CPU_BUDGETS)
    runs: dict[str, list[Row]] = {name: [] for name in named}
    for number in range(options.rounds):
        for name in rotated(list(named), number):
            if not runs[name] or "reason" not in runs[name][-1]:
                job = {"part": "model", "work": str(work), "clip": clip}
                runs[name].append(child(job | named[name]))
    print(f"\nmodel: small, {options.frames} frames of 360p, CPU seconds to the first token")
    return show(runs)


def on_gpu(options: argparse.Namespace, work: Path) -> Row:
    """The large model's sides, in one process, and the table."""
    job = {
        "part": "gpu",
        "shape": "7B",
        "work": str(work),
        "clip": GPU_CLIP,
        "sides": sides(GPU_BUDGETS),
        "rounds": options.rounds,
    }
    said = child(job)
    if "reason" in said:
        print(f"\ngpu: left out, {said['reason']}")
        return said
    print(
        f"\ngpu: 7B on {said['device']}, {GPU_CLIP[0]} frames of 720p, seconds to the first token"
    )
    return {"device": said["device"], "weights_mb": said["weights_mb"], "sides": show(said["runs"])}


def show(runs: dict[str, list[Row]]) -> Row:
    """One table; ratios are to the first side that ran."""
    print(
        f"{'side':22} {'encoded':>8} {'kept':>6} {'s':>8} {'ratio':>6} {'peak MB':>8} {'ratio':>6} "
        f"{'net MB':>8} {'ratio':>6}"
    )
    figures: Row = {}
    base: Row = {}
    for name, some in runs.items():
        row = medians(some)
        figures[name] = row
        if "reason" in row:
            print(f"{name:22} {'–':>8} {row['reason']}")
            continue
        base = base or row
        for figure in ("seconds", "peak_mb", "net_mb"):
            row[f"{figure}_ratio"] = row[figure] / base[figure] if base[figure] else None
        print(
            f"{name:22} {row['encoded']:8.0f} {row['kept']:6.0f} "
            f"{row['seconds']:8.3f} {ratio(row['seconds'], base['seconds']):>6} "
            f"{row['peak_mb']:8.0f} {ratio(row['peak_mb'], base['peak_mb']):>6} "
            f"{row['net_mb']:8.0f} {ratio(row['net_mb'], base['net_mb']):>6}",
            flush=True,
        )
    return figures


def machine() -> Row:
    """What the figures depend on."""
    versions = {}
    for library in ("torch", "transformers", "numpy"):
        with suppress(metadata.PackageNotFoundError):
            versions[library] = metadata.version(library)
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--frames", type=int, default=32, help="of 360p in a clip")
    parser.add_argument(
        "--families", nargs="+", choices=PUBLISHED, default=list(PUBLISHED), metavar="FAMILY"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--gpu", action="store_true", help="the 7B on a CUDA device, and no more")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    if options.rounds < 1 or options.frames < 2:
        parser.error("--rounds begins at 1 and --frames at 2")
    about = machine()
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    print(f"{about['processor']}, {about['cores']} cores; Python {about['python']}, {versions}")
    print(f"medians of {options.rounds}")
    figures: Row = {"machine": about, "rounds": options.rounds, "frames": options.frames}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for family in {"qwen2_5_vl", *options.families}:
            write_folder(family, work / family)
        if options.gpu:
            figures["gpu"] = on_gpu(options, work)
        else:
            if "pack" in options.only:
                figures["pack"] = packing(options, work)
            if "model" in options.only:
                figures["model"] = on_cpu(options, work)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
