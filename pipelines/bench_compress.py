"""How fast the compressors are, beside a plain transcription of each published procedure.

    python pipelines/bench_compress.py
    python pipelines/bench_compress.py --segments          # HoliTom's segmentation by itself
    python pipelines/bench_compress.py --only divprune,holitom --tokens 4096 --rounds 5

Tokens are frames of 16 x 16 with ``D`` features each: a background that drifts, objects that move
over it, and noise, cut into scenes. Both sides end with the features kept, ``[K, D]``. Each
measurement is a process of its own, so that its peak of memory is its own. Beside the time stands
the multiple of one pass over the tokens, ``x.sum(0)`` of the same tensor. The exponent is that of
cost against ``N * K``, fitted over the sizes.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _compress_plain_attention import PLAIN as ATTENTION
from _compress_plain_diversity import PLAIN as DIVERSITY
from _compress_plain_grid import PLAIN as GRID
from _compress_plain_merging import PLAIN as MERGING
from _compress_plain_temporal import PLAIN as TEMPORAL
from _compress_plain_temporal import saving as plain_saving
from torch import Tensor

from videopipe.compress import VisualTokens, compose, compress, methods
from videopipe.compress.holitom import likeness
from videopipe.compress.segments import saving

SIDE = 16
TAU = 0.8  # cosine above which HoliTom calls a token the same
SCENES = 8  # of a video, whatever its length
PLAIN: dict[str, Callable[[VisualTokens, int], object]] = (
    ATTENTION | DIVERSITY | GRID | MERGING | TEMPORAL
)
LIMIT = 120  # seconds for one measurement
PLAIN_TOKENS = 8192  # above, the plain procedures need memory of N * N


def film(n: int, dim: int, needs: frozenset[str], device: str) -> VisualTokens:
    """``n`` tokens of a video of :data:`SCENES` scenes, with the signals in ``needs``."""
    steps = n // SIDE**2
    noise = torch.Generator().manual_seed(0)

    def field(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=noise)

    place = torch.linspace(0, 1, SIDE)
    waves = torch.stack([place, place.square(), torch.sin(6 * place), torch.cos(6 * place)], 1)
    flat = torch.einsum("ya,xb->yxab", waves, waves).flatten(2)  # [h, w, 16] smooth
    parts = []
    for scene in torch.arange(steps).chunk(min(SCENES, steps)):
        drift = 0.02 * torch.arange(len(scene))[:, None, None, None]
        ground = (flat + drift) @ field(flat.shape[2], dim)
        for _ in range(4):  # objects of 3 x 3 cells
            kind, (y, x) = 2 * field(dim), (torch.rand(2, generator=noise) * (SIDE - 3)).tolist()
            for at in range(len(scene)):
                row, column = int(y), int(x + 0.5 * at) % (SIDE - 3)
                ground[at, row : row + 3, column : column + 3] += kind
        parts.append(ground + 0.3 * field(len(scene), SIDE, SIDE, dim))
    x = torch.cat(parts).reshape(-1, dim)
    pos = torch.cartesian_prod(*(torch.arange(float(side)) for side in (steps, SIDE, SIDE)))
    signals, context = {}, {}
    for name in sorted(needs):
        match name.partition(":")[0]:
            case "key" | "metric":
                signals[name] = x[:, :64].contiguous()
            case "relevance":
                signals[name] = torch.rand(steps, generator=noise)[pos[:, 0].long()]
            case "text":
                context[name] = field(16, dim)
            case _:
                signals[name] = x[:, :8].square().mean(1) + 0.1 * torch.rand(n, generator=noise)
                signals[name] /= signals[name].max()
    return VisualTokens(
        x.to(device),
        pos.to(device),
        (steps, SIDE, SIDE),
        torch.arange(steps, dtype=torch.float64),
        signals={name: value.to(device) for name, value in signals.items()},
        context={name: value.to(device) for name, value in context.items()},
    )


def measure(name: str, side: str, n: int, k: int, dim: int, rounds: int, device: str) -> None:
    """Print what one process measures: seconds, seconds of one pass, MB beyond the tokens."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    tokens = film(n, dim, compose(name).needs, device)

    def ours() -> Tensor:
        return compress(name, tokens, k).apply(tokens.x)

    def plain() -> Tensor:
        kept = PLAIN[name](tokens, k)
        kept = kept[0] if isinstance(kept, tuple) else kept
        assert isinstance(kept, Tensor)
        return kept if kept.is_floating_point() else tokens.x[kept]

    run = ours if side == "ours" else plain

    def once() -> float:
        wait()
        began = time.perf_counter()
        run()
        wait()
        return time.perf_counter() - began

    def wait() -> None:
        if device != "cpu":
            torch.cuda.synchronize()

    small = film(1024, 16, compose(name).needs, device)
    compress(name, small, 100)  # imports and first calls are no part of it
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of making the tokens
    before = memory("VmRSS")
    seconds = [once()]
    peak = memory("VmHWM") - before
    for _ in range(rounds - 1):
        if sum(seconds) > LIMIT / 4:
            break
        seconds.append(once())
    _, one_pass = timed(lambda: (tokens.x.sum(0), wait()), 9)
    print(json.dumps([statistics.median(seconds), one_pass, peak / 1024]))


def child(name: str, side: str, n: int, k: int, options: Any) -> tuple[float, float, float] | None:
    """A measurement in a process of its own; None where it takes too long or too much memory."""
    command = [sys.executable, __file__, "--one", name, side, str(n), str(k)]
    command += ["--dim", str(options.dim), "--rounds", str(options.rounds)]
    command += ["--device", options.device]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        sys.stderr.write(done.stderr[-2000:])
        return None
    seconds, one_pass, peak = json.loads(done.stdout.strip().splitlines()[-1])
    return seconds, one_pass, peak


def exponent(points: list[tuple[int, float]]) -> float:
    """Slope of the logarithm of seconds over that of ``N * K``."""
    xs = [math.log(size) for size, _ in points]
    ys = [math.log(seconds) for _, seconds in points]
    mean_x, mean_y = statistics.mean(xs), statistics.mean(ys)
    over = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / over


def memory(what: str) -> int:
    """KiB of this process, of a line of its status."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{what}:")[2].split()[0])


def timed(call: Callable[[], Any], rounds: int = 3) -> tuple[Any, float]:
    """What a call gives, and the median of its seconds."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        made = call()
        seconds.append(time.perf_counter() - began)
    return made, statistics.median(seconds)


def segmentation(dim: int) -> None:
    """Print how long HoliTom takes to cut videos of several lengths, beside the plain procedure."""
    torch.set_num_threads(2)
    print("\n| frames | ms | plain | of plain | same segments |\n|---|---|---|---|---|")
    for steps in (128, 256, 512):
        alike = likeness(film(steps * SIDE**2, dim, frozenset(), "cpu"))
        (ours, saved), fast = timed(partial(saving, (alike > TAU).numpy()))
        (theirs, plain_saved), slow = timed(partial(plain_saving, alike, TAU))
        same = [(part.start, part.stop - 1) for part in ours] == theirs and saved == plain_saved
        print(
            f"| {steps} | {fast * 1e3:.1f} | {slow * 1e3:.0f} | {slow / fast:.0f}x | {same} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="names, with commas")
    parser.add_argument("--tokens", default="4096,65536")
    parser.add_argument("--keep", default="0.05,0.2")
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--segments", action="store_true", help="HoliTom's segmentation alone")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        name, side, n, k = options.one
        measure(name, side, int(n), int(k), options.dim, options.rounds, options.device)
        return
    if options.segments:
        segmentation(64)
        return
    names = [one for one in options.only.split(",") if one] or [
        name for name in methods() if name not in ("none", "auto")
    ]
    print("| method | N | K | ms | plain | of plain | passes | MB | plain MB | exponent |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in names:
        points: list[tuple[int, float]] = []
        for n in (int(part) for part in options.tokens.split(",")):
            for share in (float(part) for part in options.keep.split(",")):
                k = round(share * n)
                ours = child(name, "ours", n, k, options)
                plain = None
                if name in PLAIN and n <= PLAIN_TOKENS:
                    plain = child(name, "plain", n, k, options)
                if ours is None:
                    print(f"| {name} | {n} | {k} | over {LIMIT} s | | | | | | |", flush=True)
                    continue
                seconds, one_pass, peak = ours
                points.append((n * k, seconds))
                beside = f"{plain[0] * 1e3:.0f}" if plain else "-"
                ratio = f"{plain[0] / seconds:.1f}x" if plain else "-"
                theirs = f"{plain[2]:.0f}" if plain else "-"
                fitted = f"{exponent(points):.2f}" if len({p for p, _ in points}) > 2 else ""
                print(
                    f"| {name} | {n} | {k} | {seconds * 1e3:.1f} | {beside} | {ratio} | "
                    f"{seconds / one_pass:.1f} | {peak:.0f} | {theirs} | {fitted} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
