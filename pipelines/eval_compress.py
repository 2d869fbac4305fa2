"""What compressors and compositions keep of films of which it is known what they show.

    python pipelines/eval_compress.py                      # the table behind `auto`
    python pipelines/eval_compress.py --films 4 --specs "pool,evs:0.5 | divprune"

Frames of rendered films at one a second become tokens of their pixels (``evaluate/cells.py``: no
model). Three measures, one for each kind of question that `auto` knows:

content    events that some row still tells: a row that one of the event's tokens is part of, and
           that is like it (cosine 0.8 from the mean of the clip)
space      tokens of a walk that some row tells where they are: like them, not more than two cells
           and two steps away
overview   coverage: the mean over all tokens of the largest cosine to a row

The answer of a language model is not measured: it needs one that sees.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from videopipe.compress import TokenMap, VisualTokens, compose, compress
from videopipe.evaluate.cells import cell_tokens
from videopipe.evaluate.planted import Kind, Planted, plan, render
from videopipe.evaluate.token_metrics import coverage
from videopipe.media import fetch

CELL = 20  # pixels: 16 x 9 tokens a frame
ALIKE = 0.8
SHARES = (0.5, 0.25, 0.1, 0.05, 0.02)
KINDS: tuple[Kind, ...] = ("several", "distractors", "near-duplicates")
SECONDS = 300.0
SPECS = (
    *("uniform", "pool", "progressive", "sttm"),
    *("divprune", "dpc-knn", "tome", "vqtoken"),
    *("evs", "framefusion", "vidcom2", "dycoke", "holitom", "fastvid", "prunevid"),
    *("evs:0.5 | divprune", "evs | dpc-knn", "evs:0.5 | dpc-knn", "evs:0.25 | tome"),
    *("framefusion | dpc-knn", "framefusion:0.5 | dpc-knn", "framefusion:0.25 | dpc-knn"),
    *("framefusion | tome", "framefusion:0.25 | tome", "auto"),
)
NEEDS = frozenset({"attention:-1", "recv:-1", "attention:-2"})


def events_of(film: Planted, times: np.ndarray, grid: tuple[int, int, int]) -> list[Tensor]:
    """The tokens of each event that is in one of the frames."""
    _, high, wide = grid
    y, x = np.indices((high, wide)) * CELL + CELL / 2
    found = []
    for event in film.events:
        mine = []
        for step, time in enumerate(times):
            if event.start <= time < event.end:
                place = np.array(event.place) + (time - event.start) * np.array(event.speed)
                inside = np.hypot(x - place[0], y - place[1]) < 0.8 * event.radius
                mine += (step * high * wide + np.flatnonzero(inside)).tolist()
        if mine:
            found.append(torch.tensor(mine))
    return found


def told(tokens: VisualTokens, made: TokenMap, events: list[Tensor]) -> float:
    """Share of the events of which a row tells."""
    x = tokens.features
    mean = x.mean(0)
    unit, rows = normalize(x - mean, dim=1), normalize(made.apply(x) - mean, dim=1)
    alike = (unit[made.src] * rows[made.dst]).sum(1) >= ALIKE
    kept = torch.zeros(len(x), dtype=torch.bool)
    kept[made.src[alike & (made.weight > 0)]] = True
    return statistics.mean(float(bool(kept[event].any())) for event in events)


def placed(tokens: VisualTokens, made: TokenMap) -> float:
    """Share of the tokens that a row near them is like."""
    x = tokens.features
    mean = x.mean(0)
    unit, rows = normalize(x - mean, dim=1), normalize(made.apply(x) - mean, dim=1)
    where = made.pos[:, 0]
    seen = 0
    for step in range(tokens.grid[0]):
        mine = (tokens.step == step).nonzero().squeeze(1)
        near = ((where[:, 0] - step).abs() <= 2).nonzero().squeeze(1)
        if not len(near):
            continue
        apart = (tokens.pos[mine][:, None, 1:] - where[near][None, :, 1:]).abs().amax(2)
        alike = unit[mine] @ rows[near].T >= ALIKE
        seen += int((alike & (apart <= 2)).any(1).sum())
    return seen / len(x)


def clips(
    films: int, lengths: Sequence[int], folder: Path
) -> Iterator[tuple[str, VisualTokens, list[Tensor]]]:
    """Clips of every length, what they are for, and their events."""
    kinds: list[tuple[Kind, int]] = [(KINDS[seed % len(KINDS)], seed) for seed in films]
    kinds += [("space", seed) for seed in films[:: len(KINDS)]]
    for kind, seed in kinds:
        film = plan(kind, 1000 + seed, SECONDS)
        video = folder / f"{kind}_{seed}.mp4"
        if not video.exists():
            render(film, video)
        for length in lengths:
            middle = SECONDS / 2
            if film.events:  # where something happens
                event = film.events[seed % len(film.events)]
                middle = min(max(event.start, length / 2), SECONDS - length / 2 - 1)
            times = middle - length / 2 + np.arange(length) + 0.25
            frames = fetch(video, times)
            tokens = cell_tokens(frames.frames, CELL, needs=NEEDS)
            if kind == "space":
                yield "space", tokens, []
            else:
                yield "content", tokens, events_of(film, times, tokens.grid)


def measured(
    films: Sequence[int], lengths: Sequence[int], specs: Sequence[str], folder: Path
) -> dict[str, Any]:
    """``{"kind length share": {spec: [value of each clip]}}``."""
    table: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number, (kind, tokens, events) in enumerate(clips(films, lengths, folder), 1):
        print(f"clip {number}: {kind}, {tokens.grid[0]} frames", file=sys.stderr, flush=True)
        for share in SHARES:
            k = max(1, round(share * len(tokens)))
            for spec in specs:
                for asks in ("space",) if kind == "space" else ("overview", "content"):
                    about = f"auto(asks={asks})" if spec == "auto" else spec
                    made = compress(about, tokens, k)
                    if asks == "space":
                        value = placed(tokens, made)
                    elif asks == "overview":
                        value = coverage(tokens, made)
                    elif events:
                        value = told(tokens, made, events)
                    else:
                        continue
                    table[f"{asks} {tokens.grid[0]} {share}"][spec].append(value)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--films", type=int, default=6)
    parser.add_argument("--first", type=int, default=0, help="seed of the first film")
    parser.add_argument("--specs", default=",".join(SPECS), help="compositions, with commas")
    parser.add_argument("--lengths", default="4,16,64", help="frames of a clip, with commas")
    parser.add_argument("--folder", type=Path, help="where films are kept")
    parser.add_argument("--out", type=Path, help="JSON file for all values")
    options = parser.parse_args()
    torch.set_num_threads(2)
    specs = options.specs.split(",")
    films = range(options.first, options.first + options.films)
    lengths = [int(length) for length in options.lengths.split(",")]
    for spec in specs:
        compose(spec)
    with tempfile.TemporaryDirectory() as folder:
        table = measured(films, lengths, specs, options.folder or Path(folder))
    if options.out:
        options.out.write_text(json.dumps(table))
    mean = {where: {s: statistics.mean(v) for s, v in row.items()} for where, row in table.items()}
    print("| question, frames, kept | best | of it: " + " | ".join(specs) + " |")
    print("|---|---|" + "---|" * len(specs))
    for where, row in sorted(mean.items()):
        best = max(row, key=row.__getitem__)
        cells = " | ".join(f"{row[spec] / max(row[best], 1e-9):.2f}" for spec in specs)
        print(f"| {where} | {best} {row[best]:.3f} | {cells} |")


if __name__ == "__main__":
    main()
