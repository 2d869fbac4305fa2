"""The selectors beside a plain transcription of each published procedure: time and memory.

    python pipelines/bench_select.py [--only aks mdp3 ...] [--rounds 3] [--sizes 3600 36000]
        [--json FILE]

One hour and ten hours at one frame a second to 64 frames, on rendered signals: 768-d float16
features that follow shots (a frame and the next have a cosine of 0.9), a relevance curve in 0-1
with peaks and noise, and 5,000 landmarks for each hour, of which one sees some 150-300 and which
the camera comes back to. The plain side is pipelines/_select_plain.py.

Each side of each selector is a fresh process; the sides take turns, the libraries are imported and
called once on 256 frames before. Figures are medians over the rounds of the median of five calls
(one call where it takes over two seconds). Ratios are ours to plain, of CPU time, which other work
on the machine inflates less than wall time. The plain side is left out where its N x N matrix would
take more than 4 GB, and ended after 60 s. BLAS has the threads that it takes by itself.

MB is the peak of what a call allocates (tracemalloc), RSS what the first call adds to the resident
memory of its process, which is blurred by what the allocator holds already. "growth" is MB per
frame at the largest size to MB per frame at the smallest: 1 is linear, and less is what does not
depend on N.

"picks" says how many of the plain side's frames ours has. "same" and "OTHERS" where both are meant
to choose the same; F2C's are those of the largest budget whose clips fit (found apart from the
timing; the plain side is timed for one budget, ours looks for it). Where the plain space-aware has
seen all and ends, ours fills in; where the plain BOLT repeats a frame ours samples anew without it,
and the two are not expected to agree.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from _select_plain import MATRIX, PLAIN, Film, f2c_within

from videopipe.select import Candidates, Landmarks, methods, select

K = 64
DIMENSIONS = 768
INNER = 5  # calls in one process, after the first
_LONG_SECONDS = 2.0  # a first call of which is not repeated
_LIMIT_SECONDS = 60
_LIMIT_BYTES = 4e9
_TARGET_MS = {3_600: 50.0, 36_000: 500.0}
_COVERAGE_MS = 100.0  # of 3,600 frames and 5,000 landmarks
_MB = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # of ru_maxrss
# Draws of its own, another rule where copies form chains, and what only ours has.
_OWN = ("focus", "b-vllm", "auto", "auto, space")

Row = dict[str, Any]


def render(count: int, path: Path) -> None:
    """The signals of ``count`` seconds of video, into a file."""
    rng = np.random.default_rng(count)
    cuts = np.cumsum(rng.gamma(2.0, 8.0, count).round() + 3)
    cuts = cuts[cuts < count]
    shots = np.searchsorted(cuts, np.arange(count), "right")
    # A third of the shots are of a place seen before.
    scene = np.where(
        rng.random(shots[-1] + 1) < 1 / 3,
        rng.integers(0, np.arange(shots[-1] + 1) + 1),
        np.arange(shots[-1] + 1),
    )
    common = _units(rng, 1)
    centres = 0.7 * common + 0.7 * _units(rng, len(scene))
    features = np.sqrt(0.9) * centres[scene[shots]] + np.sqrt(0.1) * _units(rng, count)
    features /= np.linalg.norm(features, axis=1, keepdims=True)

    seconds = np.arange(count)
    relevance = 0.2 + 0.05 * np.sin(seconds / 400) + rng.normal(0, 0.02, count)
    for centre in rng.integers(0, count, max(1, count // 450)):
        height, width = rng.uniform(0.2, 0.6), rng.uniform(3, 40)
        relevance += height * np.exp(-(((seconds - centre) / width) ** 2))

    # The camera walks on a ring of landmarks, stands still, turns round and comes back.
    points = max(5_000 * count // 3_600, 500)
    speed = np.repeat(rng.normal(2.0, 4.0, count // 60 + 1), 60)[:count]
    place = np.cumsum(speed).astype(np.int64)
    wide = rng.integers(107, 215, count)
    chance = rng.uniform(0.4, 1, points)  # of being found when it is in view
    sights = []
    for at, half in zip(place, wide, strict=True):
        near = np.arange(at - half, at + half) % points
        sights.append(np.sort(near[rng.random(len(near)) < chance[near]]))
    np.savez(
        path,
        features=features.astype(np.float16),
        relevance=relevance.clip(0, 1),
        cuts=cuts,
        offsets=np.cumsum([0, *map(len, sights)]),
        ids=np.concatenate(sights),
    )


def _units(rng: np.random.Generator, count: int) -> Any:
    rows = rng.standard_normal((count, DIMENSIONS), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def call_of(side: str, name: str, signals: Row, frames: int) -> Callable[[], Any]:
    """One call of a selector on the first ``frames`` seconds."""
    offsets = signals["offsets"][: frames + 1]
    ids = signals["ids"][: offsets[-1]]
    features, relevance = signals["features"][:frames], signals["relevance"][:frames]
    k = min(K, frames // 4)
    if side == "ours":
        candidates = Candidates(
            np.arange(frames, dtype=np.float64),
            relevance,
            features,
            Landmarks(offsets, ids),
            cuts=signals["cuts"],
        )
        name, _, asked = name.partition(", ")
        params = {"asks": asked} if asked else {}
        return lambda: select(name, candidates, k, **params)
    sets = [set(ids[a:b].tolist()) for a, b in pairwise(offsets)] if name == "space-aware" else []
    film = Film(relevance, features, sets)
    procedure = f2c_within if side == "plain, fitted" else PLAIN[name]
    return lambda: procedure(film, k)


def one(job: Row) -> Row:
    """One side of one selector, in this process, or the signals for them."""
    from threadpoolctl import threadpool_info

    if job["side"] == "render":
        # Not in the parent: on Linux a child begins with the peak of who started it.
        render(job["frames"], Path(job["path"]))
        return {}
    with np.load(job["path"]) as file:
        signals = dict(file)
    call_of(job["side"], job["name"], signals, 256)()
    work = call_of(job["side"], job["name"], signals, job["frames"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.alarm(_LIMIT_SECONDS)
    wall, cpu, picks = _timed(work)
    signal.alarm(0)
    row: Row = {"wall_ms": wall, "cpu_ms": cpu}
    row["rss_mb"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / _MB
    if wall < 1e3 * _LONG_SECONDS:
        calls = [_timed(work) for _ in range(INNER)]
        row["wall_ms"] = median(call[0] for call in calls)
        row["cpu_ms"] = median(call[1] for call in calls)
        tracemalloc.start()
        work()
        row["mb"] = tracemalloc.get_traced_memory()[1] / 1e6
    row["picks"] = sorted(set(np.asarray(picks).tolist()))
    row["blas"] = sorted(
        f"{pool['internal_api']} {pool['version']} ({pool.get('architecture')}), "
        f"{pool['num_threads']} threads"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    )
    return row


def _timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu), result


def child(job: Row) -> Row:
    """One side in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", json.dumps(job)], capture_output=True, text=True
    )
    if done.returncode == -signal.SIGALRM:
        return {"reason": f"no end in {_LIMIT_SECONDS} s"}
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return {"reason": f"exit code {done.returncode}: {last[0][:120]}"}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def medians(runs: list[Row]) -> Row:
    """The median of each figure, or the reason why there is none."""
    if "reason" in runs[-1]:
        return runs[-1]
    return {
        figure: median(run[figure] for run in runs) if isinstance(value, float) else value
        for figure, value in runs[0].items()
        if all(figure in run for run in runs)
    }


def compare(name: str, frames: int, path: Path, rounds: int) -> Row:
    """Both sides of a selector in turns, and whether they choose the same."""
    sides: dict[str, list[Row]] = {"ours": [], "plain": []}
    matrix = 4 * frames**2
    if name not in PLAIN:
        sides["plain"] = [{"reason": "nothing is published"}]
    elif name in MATRIX and matrix > _LIMIT_BYTES:
        sides["plain"] = [{"reason": f"its matrix has {matrix / 1e9:.1f} GB"}]
    job = {"name": name, "frames": frames, "path": str(path)}
    for number in range(rounds):
        for side in sorted(sides, reverse=bool(number % 2)):
            if not sides[side] or "reason" not in sides[side][-1]:
                sides[side].append(child(job | {"side": side}))
    row = {side: medians(runs) for side, runs in sides.items()}
    ours, plain = row["ours"], row["plain"]
    if "reason" in ours:
        return row
    target = _TARGET_MS.get(frames)
    row["met"] = None if target is None else ours["wall_ms"] < target
    if "reason" not in plain:
        row["ratio"] = ours["cpu_ms"] / plain["cpu_ms"]
        other = child(job | {"side": "plain, fitted"}) if name == "f2c" else plain
        if "picks" in other:
            row["wanted"] = len(other["picks"])
            row["shared"] = len(set(other["picks"]) & set(ours["picks"]))
            anew = name == "bolt" and row["wanted"] < K
            row["same"] = None if name in _OWN or anew else row["shared"] == row["wanted"]
    return row


def show(name: str, row: Row) -> None:
    """One line of the table of a size."""
    ours, plain = row["ours"], row["plain"]
    if "reason" in ours:
        print(f"{name:12} – {ours['reason']}", flush=True)
        return
    met = {True: "met", False: "NOT MET", None: ""}[row["met"]]
    if "reason" in plain:
        beside = f"{'–':>9} {'–':>9} {'–':>7}"
        picks = f"no plain side: {plain['reason']}"
    else:
        beside = f"{plain['wall_ms']:9.2f} {plain['cpu_ms']:9.2f} {row['ratio']:7.3f}"
        same = {True: ", same", False: ", OTHERS", None: ""}[row.get("same")]
        picks = f"{row['shared']} of {row['wanted']}{same}" if "shared" in row else "not compared"
    memory = "–" if "mb" not in ours else f"{ours['mb']:.2f}"
    beyond = "–" if "reason" in plain else f"{plain['rss_mb']:.0f}"
    print(
        f"{name:12} {ours['wall_ms']:8.2f} {ours['cpu_ms']:8.2f} {beside} "
        f"{memory:>8} {ours['rss_mb']:8.1f} {beyond:>9}  {met:7}  {picks}",
        flush=True,
    )


def show_memory(figures: dict[int, dict[str, Row]]) -> None:
    """What a call takes at each size, and how it grows from the smallest to the largest."""
    small, large = min(figures), max(figures)
    print("\nmemory of ours, MB")
    print("selector     " + " ".join(f"{size:>9}" for size in figures) + f" {'growth':>8}")
    for name, row in figures[small].items():
        held = [figures[size][name]["ours"].get("mb") for size in figures]
        if None in held:
            continue
        first, last = row["ours"]["mb"], figures[large][name]["ours"]["mb"]
        row["growth"] = (last / large) / (first / small)
        print(f"{name:12} " + " ".join(f"{mb:9.2f}" for mb in held) + f" {row['growth']:8.2f}")


def machine() -> Row:
    """What the figures depend on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {
            library: metadata.version(library) for library in ("numpy", "scipy", "PyWavelets")
        },
        "environment": {
            variable: os.environ[variable]
            for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE")
            if variable in os.environ
        },
    }


def main() -> None:
    names = sorted({*methods(), "auto, space"})
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="SELECTOR")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[3_600, 36_000], metavar="FRAMES")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one)))
        return
    if options.rounds < 1 or min(options.sizes) < 4 * K:
        parser.error(f"--rounds begins at 1 and --sizes at {4 * K}")
    about = machine()
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    print(f"{about['processor']}, {about['cores']} cores; Python {about['python']}, {versions}")
    print(f"medians of {options.rounds}; {about['environment'] or 'no thread settings'}")
    figures: dict[int, dict[str, Row]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for size in sorted(set(options.sizes)):
            path = Path(temporary) / f"{size}.npz"
            child({"side": "render", "frames": size, "path": str(path)})
            wanted = f", each under {_TARGET_MS[size]:.0f} ms" if size in _TARGET_MS else ""
            print(f"\n{size} frames to {K}{wanted}")
            print(
                f"{'selector':12} {'ours ms':>8} {'CPU ms':>8} {'plain ms':>9} {'CPU ms':>9} "
                f"{'ratio':>7} {'MB':>8} {'RSS MB':>8} {'plain RSS':>9}  {'target':7}  picks"
            )
            figures[size] = {}
            for name in options.only:
                row = compare(name, size, path, options.rounds)
                figures[size][name] = row
                show(name, row)
    if len(figures) > 1:
        show_memory(figures)
    hour = figures.get(3_600, {}).get("space-aware", {}).get("ours", {})
    if "wall_ms" in hour:
        met = "met" if hour["wall_ms"] < _COVERAGE_MS else "NOT MET"
        print(f"\ncoverage of 3,600 x 5,000: {hour['wall_ms']:.1f} ms vs < {_COVERAGE_MS:g}, {met}")
    sides = (row["ours"] for rows in figures.values() for row in rows.values())
    about["blas"] = next((side["blas"] for side in sides if "blas" in side), [])
    print("BLAS: " + "; ".join(about["blas"]))
    if options.json:
        said = {"machine": about, "rounds": options.rounds, "k": K, "sizes": figures}
        options.json.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
