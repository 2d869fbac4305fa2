"""Which selector shows what a question needs? Films with planted evidence, and no model.

    python pipelines/eval_select.py [--cache build/eval_select] [--metric kfr] [--json FILE]
    python pipelines/eval_select.py --clips FILES...

The table has a row for each selector and a column for each kind of question and budget: the mean
UKSS of the films of all seeds (geometric, none below 0.01), the best of a column marked with *. Of
walks through rooms, where every frame is in some room and UKSS says nothing, it is the share of the
landmarks that chosen frames truly see, of what the best possible frames see. Below: `auto` beside
the best and beside uniform. Films, what is measured of them and what is best stay in the folder of
the cache: a second run takes seconds. `auto` was tuned on the seeds 0 to 21.

With --clips: the landmarks that space-aware frames see of real videos, beside uniform ones.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from videopipe.evaluate.coverage import BestCoverage, best_coverage
from videopipe.evaluate.frame_metrics import frame_metrics, mean_ukss
from videopipe.evaluate.planted import KINDS
from videopipe.evaluate.planted_case import Case, planted_case
from videopipe.media import probe, scan
from videopipe.scan import find_cuts, measure
from videopipe.scan.landmarks import LandmarkTracker
from videopipe.select import Candidates, Landmarks, methods, select

METRICS = ("quality", "ukss", "kfr", "shr", "bsr", "bds")
TITLES = {"quality": "UKSS, of space the landmarks truly seen", "ukss": "UKSS"}
CLIP_BUDGETS = (4, 8, 16)
PROOF_SECONDS = 20.0
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path("build/eval_select"))
    parser.add_argument("--seeds", type=int, default=4, help="films of each kind")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them")
    parser.add_argument("--types", nargs="+", choices=KINDS, default=KINDS, metavar="TYPE")
    parser.add_argument("--budgets", nargs="+", type=int, default=(8, 16, 32, 64))
    parser.add_argument("--metric", nargs="+", choices=METRICS, default=("quality",))
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--clips", nargs="+", type=Path, help="real videos instead of films")
    options = parser.parse_args()
    if options.clips:
        found = [row for path in options.clips for row in clip_rows(path)]
        print_clips(found)
    else:
        cases = [
            case(kind, options.first + seed, options)
            for kind in options.types
            for seed in range(options.seeds)
        ]
        found = [row for one in cases for row in case_rows(one, options)]
        for metric in options.metric:
            print_table(found, metric, options.types, options.budgets)
        if "space" in options.types:
            own = [row for one in cases if one.truth for row in own_rows(one, options)]
            print_own(own, options.budgets)
            found += own
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def case(kind: Any, seed: int, options: argparse.Namespace) -> Case:
    began = time.perf_counter()
    made = planted_case(kind, seed, options.cache)
    took = time.perf_counter() - began
    if took > 2:
        print(f"{kind} {seed}: made in {took:.1f} s", file=sys.stderr)
    return made


def choose(name: str, one: Case, k: int) -> Any:
    params = {"question": one.question} if name == "auto" else {}
    return select(name, one.candidates, k, **params)


def most_seen(landmarks: Landmarks, k: int, cache: Path) -> BestCoverage:
    """The best coverage, proven once for the same landmarks."""
    digest = hashlib.sha256(landmarks.offsets.tobytes() + landmarks.ids.tobytes()).hexdigest()
    known = cache / f"best-{digest[:16]}-{k}.json"
    if not known.exists():
        known.write_text(json.dumps(best_coverage(landmarks, k, PROOF_SECONDS)) + "\n")
    return BestCoverage(*json.loads(known.read_text()))


def case_rows(one: Case, options: argparse.Namespace) -> list[Row]:
    """What every selector shows; the quality of a walk is the share of landmarks truly seen."""
    rows = []
    for k in options.budgets:
        most = most_seen(one.truth, k, options.cache) if one.truth else None
        for name in methods():
            began = time.perf_counter()
            chosen = choose(name, one, k)
            row = {"selector": name, "type": one.kind, "seed": one.seed, "budget": k}
            row["seconds"] = round(time.perf_counter() - began, 4)
            measured = frame_metrics(one.candidates.times[chosen], one.scenes)
            row |= {metric: getattr(measured, metric) for metric in METRICS[1:]}
            row["quality"] = row["ukss"]
            if one.truth and most:
                row |= {"quality": one.truth.seen(chosen) / most.points, "exact": most.exact}
            rows.append(row)
    return rows


def print_table(rows: list[Row], metric: str, types: Sequence[str], budgets: Sequence[int]) -> None:
    mean: Callable[[list[float]], float] = mean_ukss if metric in TITLES else np.mean
    columns = [(kind, k) for kind in types for k in budgets]
    table = {
        name: [
            mean(
                [
                    row[metric]
                    for row in rows
                    if (row["selector"], row["type"], row["budget"]) == (name, *column)
                ]
            )
            for column in columns
        ]
        for name in methods()
    }
    best = np.max([*table.values()], axis=0)
    films = len({row["seed"] for row in rows})
    print(f"\n{TITLES.get(metric, metric.upper())}, mean of {films} films of each kind")
    print(_line("", [f"{kind:<{6 * len(budgets)}}" for kind in types]))
    print(_line("frames", [f"{k:6}" for _, k in columns]))
    for name, values in table.items():
        marks = [
            "*" if value >= top - 5e-4 else " " for value, top in zip(values, best, strict=True)
        ]
        cells = [f"{value:5.3f}{mark}" for value, mark in zip(values, marks, strict=True)]
        print(_line(name, cells))
    if metric in TITLES:
        auto, uniform = np.array(table["auto"]), np.array(table["uniform"])
        print(_line("auto:best", [f"{share:5.3f} " for share in auto / best]))
        print(_line("auto:unif", [f"{share:5.2f} " for share in auto / uniform]))
        below = [
            f"{kind} {k} ({share:.3f})"
            for (kind, k), share in zip(columns, auto / best, strict=True)
            if share < 0.98
        ]
        lost = [
            f"{kind} {k}" for (kind, k), a, u in zip(columns, auto, uniform, strict=True) if a <= u
        ]
        print(f"auto is more than 2 % behind the best in: {', '.join(below) or 'no column'}")
        print(f"auto does not beat uniform in: {', '.join(lost) or 'no column'}")


def own_rows(one: Case, options: argparse.Namespace) -> list[Row]:
    """How near the greedy choice of space-aware comes to the best, by two kinds of landmarks."""
    rows = []
    sources = {"measured": one.candidates.landmarks, "true": one.truth}
    for name, landmarks in sources.items():
        assert landmarks is not None
        told = Candidates(one.candidates.times, landmarks=landmarks)
        for k in options.budgets:
            best = most_seen(landmarks, k, options.cache)
            share = landmarks.seen(select("space-aware", told, k)) / max(best.points, 1)
            row = {"landmarks": name, "type": "space", "seed": one.seed, "budget": k}
            rows.append(row | {"share": share, "exact": best.exact})
    return rows


def print_own(rows: list[Row], budgets: Sequence[int]) -> None:
    print("\nspace-aware by the landmarks it was given, of the best possible: mean (least)")
    print(_line("frames", [f"{k:>16}" for k in budgets]))
    for name in ("measured", "true"):
        cells = []
        for k in budgets:
            mine = [row for row in rows if (row["landmarks"], row["budget"]) == (name, k)]
            shares = [row["share"] for row in mine]
            cells.append(f"{np.mean(shares):8.3f} ({min(shares):.3f})")
        print(_line(name, cells))
    exact = sum(row["exact"] for row in rows)
    print(f"the best is exact in {exact} of {len(rows)} figures, an upper bound in the others")


def clip_rows(path: Path) -> list[Row]:
    info = probe(path)
    tracker = LandmarkTracker()

    def watched() -> Any:
        for batch in scan(info):
            for at, frame in zip(batch.times.tolist(), batch.frames, strict=True):
                tracker.add(at, frame)
            yield batch

    signals = measure(watched())
    cuts = find_cuts(signals, info.keyframes)
    landmarks = tracker.landmarks(cuts)
    candidates = Candidates(signals.times, landmarks=landmarks, cuts=np.array(cuts))
    total = len(np.unique(landmarks.ids))
    return [
        {
            "clip": path.name,
            "candidates": len(candidates),
            "shots": len(cuts) + 1,
            "landmarks": total,
            "frames": k,
            **{
                name: landmarks.seen(select(name, candidates, k))
                for name in ("space-aware", "uniform")
            },
            "best": best_coverage(landmarks, k, PROOF_SECONDS).points,
        }
        for k in CLIP_BUDGETS
    ]


def print_clips(rows: list[Row]) -> None:
    print(
        f"{'clip':26} {'candidates':>10} {'shots':>5} {'landmarks':>9} {'frames':>6} "
        f"{'space-aware':>11} {'uniform':>7} {'best':>6} {'of best':>7} {'gain':>6}"
    )
    for row in rows:
        best, aware, even = row["best"], row["space-aware"], row["uniform"]
        print(
            f"{row['clip'][:26]:26} {row['candidates']:10} {row['shots']:5} {row['landmarks']:9} "
            f"{row['frames']:6} {aware:11} {even:7} {best:6.0f} {aware / max(best, 1):7.3f} "
            f"{aware / max(even, 1):6.2f}"
        )


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name:12}" + "".join(cells)


if __name__ == "__main__":
    main()
