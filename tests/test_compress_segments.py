"""Compressors by segments of the video: HoliTom, FastVID and PruneVid, and how each cuts it."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from compress_kit import grids, holds, tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracle import Case, cases
from torch import Tensor
from torch.nn.functional import normalize

from pipelines import _compress_plain_temporal as plain
from videopipe.compress import VisualTokens, compress
from videopipe.compress import holitom as holi
from videopipe.compress.fastvid import Counts, FastVID
from videopipe.compress.prunevid import steadiness, still
from videopipe.compress.segments import clustered, cut_apart, saving
from videopipe.compress.static import Shares, Split
from videopipe.errors import ConfigError

Grid = tuple[int, int, int]
NAMES = ["holitom", "holitom(tau=0.8)", "fastvid", "fastvid(period=1)", "prunevid"]
ATTENTION = ("recv:-1", "attention:-1")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def of(x: Tensor) -> VisualTokens:
    """Tokens ``x`` ``[T, n, D]``, of frames of one row."""
    return tokens((x.shape[0], 1, x.shape[1]), x=x.flatten(0, 1), needs=ATTENTION)


def case_tokens(case: Case, signal: str) -> VisualTokens:
    x = torch.from_numpy(case.inputs["tokens"]).flatten(0, 1)
    whole = tokens(tuple(case.params["grid"]), x=x, needs=())
    attention = torch.from_numpy(case.inputs["attention"]).flatten()
    return replace(whole, signals={signal: attention})


def scenes(*lengths: int, n: int = 12, dim: int = 16, spread: float = 0.1) -> Tensor:
    """Still pictures, one after another, with some noise: ``[T, n, D]``."""
    pictures = [noise(n, dim, seed=9 + number).repeat(m, 1, 1) for number, m in enumerate(lengths)]
    x = torch.cat(pictures)
    return x + spread * noise(*x.shape)


def sorted_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows[np.lexsort(rows.T)]


def ends(segments: list[slice]) -> list[int]:
    assert segments[0].start == 0
    assert all(a.stop == b.start for a, b in pairwise(segments))
    return [segment.stop for segment in segments]


@pytest.mark.parametrize("case", cases("holitom"))
def test_holitom_makes_what_the_official_one_makes(case: Case) -> None:
    params, out = case.params, case.outputs
    whole = case_tokens(case, "recv:-1")
    split = holi.split(holi.likeness(whole), params["tau"])
    assert ends(split.segments) == (out["segments"][:, 1] + 1).tolist()
    left = int(split.static.sum() + split.moving.sum())
    assert len(whole) - left == out["saved"]
    ratio = min(params["retain_ratio"] * len(whole) / left, 1)
    assert ratio == pytest.approx(float(out["effective_ratio"]))
    static = [round(n * ratio) for n in split.static.sum(1).tolist()]
    moving = [math.ceil(n * ratio) for n in split.moving.sum(1).tolist()]
    method = holi.HoliTom(beta=params["beta"], neighbours=params["K_neighbours"])
    shares = Shares(torch.tensor(static), torch.tensor(moving))
    ours = method.join(whole, split, shares).apply(whole.x).numpy()
    assert np.allclose(sorted_rows(ours), sorted_rows(out["tokens"]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", cases("fastvid"))
def test_fastvid_makes_what_the_official_one_makes(case: Case) -> None:
    params, out = case.params, case.outputs
    frames = torch.from_numpy(case.inputs["frame_features"])
    whole = replace(case_tokens(case, "attention:-1"), context={"frame": frames})
    names = ("DySeg_c", "DySeg_tau", "STPrune_d", "DTM_p", "DTM_beta", "density_neighbours")
    method = FastVID(*(params[name] for name in names))
    segments = method.cut(whole)
    sizes = [segment.stop - segment.start for segment in segments]
    assert sizes == out["segment_sizes"].tolist()
    steps, high, wide = whole.grid
    kept = int(high * wide * params["retention_ratio"])
    context = int(kept * params["STPrune_d"])
    counts = Counts(torch.full((steps,), kept - context), torch.zeros(steps, dtype=torch.int64))
    for segment, size in zip(segments, sizes, strict=True):
        anchors = list(method.anchors(segment))
        counts.context[anchors] = context * size // len(anchors)
    made = method.join(whole, segments, counts)
    assert np.array_equal(made.host, out["indices"])
    assert np.allclose(made.apply(whole.x), out["tokens"], rtol=1e-4, atol=1e-5)
    # Ours are shared out to the same number, within one in each frame; context more exactly.
    ours = method.counts(whole, segments, len(made))
    assert int(ours.salient.sum() + ours.context.sum()) == len(made)
    assert int(ours.context.sum()) == round(len(made) * params["STPrune_d"])
    assert int((ours.salient - counts.salient).abs().max()) <= 1


def brute(same: NDArray[np.bool_]) -> int:
    """The most that a segmentation saves: all of them."""
    steps = len(same) + 1
    most = 0
    for cuts in range(2 ** (steps - 1)):
        edges = [0, *(n + 1 for n in range(steps - 1) if cuts >> n & 1), steps]
        saved = sum((b - a - 1) * int(same[a : b - 1].all(0).sum()) for a, b in pairwise(edges))
        most = max(most, saved)
    return most


@settings(max_examples=60, deadline=None)
@given(steps=st.integers(1, 8), n=st.integers(1, 6), seed=st.integers(0, 99))
def test_segments_save_as_much_as_any(steps: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    same = rng.random((steps - 1, n)) < rng.choice([0.3, 0.6, 0.9])
    segments, saved = saving(same)
    assert ends(segments)[-1] == steps
    assert saved == brute(same)
    made = [(s.stop - s.start - 1) * int(same[s.start : s.stop - 1].all(0).sum()) for s in segments]
    assert sum(made) == saved


@pytest.mark.parametrize("level", [0.3, 0.7, 0.9, 1.1])
def test_segments_are_those_of_the_table_of_all(level: float) -> None:
    same = np.random.default_rng(0).random((40, 9)) < level
    segments, saved = saving(same)
    theirs, their_saved = plain.saving(torch.from_numpy(same).float(), 0.5)
    assert [(segment.start, segment.stop - 1) for segment in segments] == theirs
    assert saved == their_saved


def test_segments_of_many_frames_take_no_table() -> None:
    """256 frames of 196 tokens, of which stretches of any length stay the same."""
    rng = np.random.default_rng(0)
    alike = torch.from_numpy((rng.random((255, 196)) < 0.9).astype(np.float32))
    took = []
    for find in (lambda: saving((alike > 0.5).numpy()), lambda: plain.saving(alike, 0.5)):
        start = time.thread_time()
        found = find()
        took.append((time.thread_time() - start, found[1]))
    assert took[0][1] == took[1][1]
    assert took[1][0] > 50 * took[0][0]  # 200 times where nothing else runs


def test_holitom_cuts_where_scenes_change_and_keeps_still_ones_once() -> None:
    whole = of(scenes(5, 3, 8))
    split = holi.split(holi.likeness(whole), 0.8)
    assert ends(split.segments) == [5, 8, 16]
    assert bool(split.static.all())
    made = compress("holitom", whole, 36, tau=0.8)
    assert made.host.tolist() == [*range(12), *range(60, 72), *range(96, 108)]
    rows = torch.stack([whole.x.view(16, 12, -1)[s].mean(0) for s in split.segments]).flatten(0, 1)
    assert torch.allclose(made.apply(whole.x), rows, atol=1e-5)


def test_holitom_raises_a_threshold_that_leaves_too_few() -> None:
    whole = of(scenes(8, spread=0.3))
    alike = holi.likeness(whole)
    for left in (12, 13, 40, 95):
        split = holi.at_least(alike, left, 0.5)
        assert left <= int(split.static.sum() + split.moving.sum())
    assert int(holi.split(alike, 0.5).static.sum()) == 12
    same = of(scenes(8, spread=0.0))
    for k in (12, 13, 40, 95):  # nothing but all or none is static
        holds(compress("holitom", same, k), same, k)


def test_holitom_without_a_threshold_makes_both_steps_as_hard() -> None:
    x = noise(1, 40, 32) + noise(24, 40, 32, seed=1) * torch.linspace(0, 1, 40)[:, None]
    whole = of(x)
    for k in (96, 192, 480):
        wanted = math.isqrt(k * len(whole))
        split = holi.at_least(holi.likeness(whole), wanted, 0.5)
        left = int(split.static.sum() + split.moving.sum())
        assert wanted <= left < 1.1 * wanted
        shares = split.shares(k)
        assert int(shares.static.sum() + shares.moving.sum()) == k
        made = holi.HoliTom().join(whole, split, shares)
        assert torch.equal(compress("holitom", whole, k).to_dense(), made.to_dense())


def test_holitom_keeps_the_moving_tokens_of_most_attention() -> None:
    x = scenes(6)
    x[:, 6:] = noise(6, 6, 16)
    whole = of(x)
    made = compress("holitom", whole, 6 + 6 * 2, tau=0.8)
    received = whole.signals["recv:-1"].view(6, 12)
    moving = made.host[made.host % 12 >= 6]
    for step in range(6):
        mine = moving[moving // 12 == step] - 12 * step
        best = received[step, 6:].topk(len(mine)).indices + 6
        assert mine.tolist() == sorted(best.tolist())
    assert bool((made.weight[made.src.unsqueeze(1).eq(moving).any(1)] == 1).all())


def test_holitom_blends_centres_with_what_joins_them() -> None:
    x = scenes(3, spread=0.0)
    x[:, :2] = x[:, 2:3] + 0.01 * noise(1, 2, 16)
    whole = of(x)
    made = compress("holitom", whole, 10, tau=0.8, beta=0.75)
    dense = made.to_dense()
    row = int((dense > 0).sum(1).argmax())
    assert int((dense[row] > 0).sum()) == 9  # three cells, three frames
    host = int(made.host[row])
    assert dense[row, host] == pytest.approx(0.75 / 3)
    assert made.pos[row, 0].tolist() == whole.pos[host].tolist()


def test_a_set_of_tokens_has_a_row_as_far_as_there_are_enough() -> None:
    split = Split([slice(0, 3), slice(3, 4)], torch.tensor([[True] * 9 + [False], [False] * 10]))
    shares = split.shares(5)
    assert shares.static.tolist() == [1, 0]
    assert shares.moving.tolist() == [1, 1, 1, 1]
    assert sum(sum(part.tolist()) for part in split.shares(2)) == 2
    assert [part.tolist() for part in split.shares(22)] == [[9, 0], [1, 1, 1, 10]]


def test_frames_are_cut_at_the_least_alike_and_below_the_threshold() -> None:
    frames = normalize(torch.cat([noise(1, 64, seed=s).repeat(4, 1) for s in range(3)]), dim=1)
    assert ends(cut_apart(frames, 1, 0.9)) == [4, 8, 12]
    assert ends(cut_apart(frames, 1, -1.0)) == [12]
    drift = frames + 0.02 * noise(12, 64)
    drift[6] += 0.05 * noise(64, seed=3)
    assert len(cut_apart(drift, 5, 0.9)) == 5
    assert set(ends(cut_apart(drift, 5, 0.9))) == {4, 8, 12, 6, 7}
    assert ends(cut_apart(frames[:1], 4, 0.9)) == [1]
    assert ends(cut_apart(frames, 99, 0.9)) == list(range(1, 13))


def test_fastvid_has_targets_in_every_fourth_frame_from_the_end() -> None:
    method = FastVID()
    assert list(method.anchors(slice(10, 20))) == [11, 15, 19]
    assert list(method.anchors(slice(3, 4))) == [3]
    whole = of(scenes(10, 1, n=20))
    segments = [slice(0, 10), slice(10, 11)]
    counts = method.counts(whole, segments, 55)
    assert counts.salient.sum() == 33
    assert int(counts.salient.max() - counts.salient.min()) == 0
    assert counts.context.nonzero().flatten().tolist() == [1, 5, 9, 10]
    assert counts.context[[1, 5, 9, 10]].tolist() == [7, 7, 6, 2]
    made = method.join(whole, segments, counts)
    # All that is not salient joins once in each frame with targets of its segment.
    size = torch.bincount(made.src, minlength=len(whole))
    salient = torch.zeros(len(whole), dtype=torch.bool)
    dense = made.to_dense()
    alone = (dense > 0).sum(1) == 1
    salient[made.host[alone]] = True
    assert bool((size[:200][~salient[:200]] >= 3).all())


def test_fastvid_gives_what_targets_cannot_take_to_salient_tokens() -> None:
    whole = of(scenes(8, n=10))
    method = FastVID(segments=1, context=0.9, tau=-1.0)
    counts = method.counts(whole, method.cut(whole), 72)
    assert counts.context.tolist() == [0, 0, 0, 9, 0, 0, 0, 9]
    assert counts.salient.sum() == 54
    assert bool((counts.salient + counts.context <= 10).all())
    holds(compress("fastvid", whole, 72, segments=1, context=0.9, tau=-1.0), whole, 72)


def test_fastvid_keeps_salient_tokens_as_they_are() -> None:
    whole = of(scenes(8, n=20))
    made = compress("fastvid", whole, 40)
    attention = whole.signals["attention:-1"].view(8, 20)
    dense = made.to_dense()
    for step, n in enumerate([3] * 8):
        for cell in attention[step].topk(n).indices.tolist():
            row = int((made.host == step * 20 + cell).nonzero())
            assert dense[row].nonzero().flatten().tolist() == [step * 20 + cell]


def test_frames_are_cut_by_the_vectors_of_the_model_if_there_are_any() -> None:
    whole = of(scenes(4, 4))
    vectors = torch.eye(2)[[0, 0, 1, 1, 1, 1, 1, 1]]
    assert ends(FastVID(segments=1).cut(whole)) == [4, 8]
    assert ends(FastVID(segments=1).cut(replace(whole, context={"frame": vectors}))) == [2, 8]


def test_clusters_of_frames_are_made_contiguous() -> None:
    one, two = noise(2, 32)
    frames = torch.stack([one, one, one, two, one, two, two, two, one])
    frames = frames + 0.01 * noise(9, 32, seed=1)
    # Of the first cluster the run of three stays, of the second that of three; what is between
    # goes to the earlier of the two.
    assert ends(clustered(frames, 2)) == [5, 9]
    assert ends(clustered(frames[:1], 1)) == [1]
    assert ends(clustered(torch.stack([one, two] * 3), 2)) == [6]  # runs of one: no segment


def test_a_place_is_static_by_the_mean_cosine_of_all_pairs() -> None:
    x = noise(7, 5, 16)
    x[:4, 2] = x[0, 2] * torch.tensor([1.0, 2, 3, 4])[:, None]
    segments = [slice(0, 4), slice(4, 5), slice(5, 7)]
    steady = steadiness(x, segments)
    unit = normalize(x, dim=2)
    cosines = torch.einsum("snd,tnd->nst", unit[:4], unit[:4])
    assert torch.allclose(steady[0], (cosines.sum((1, 2)) - 4) / 12, atol=1e-6)
    assert torch.allclose(steady[2], (unit[5] * unit[6]).sum(1), atol=1e-6)
    assert steady[0, 2] == pytest.approx(1)
    assert steady[1].tolist() == [-1] * 5  # one frame has no pairs
    assert steadiness(torch.zeros(7, 5, 4), segments)[:, 0].tolist() == [0, -1, 0]
    assert still(steady, segments, 0.9, 35).static.nonzero().tolist() == [[0, 2]]
    assert not bool(still(steady, segments, 0.9, 2).static.any())  # it would save three


def test_prunevid_averages_still_scenes_over_time() -> None:
    whole = of(scenes(8, 8, spread=0.01))
    made = compress("prunevid", whole, 24, clusters=0.125)
    assert made.host.tolist() == [*range(12), *range(96, 108)]
    assert bool((made.to_dense() > 0).sum(1).eq(8).all())
    assert torch.allclose(made.apply(whole.x)[:12], whole.x.view(16, 12, -1)[:8].mean(0), atol=1e-5)
    more = compress("prunevid", whole, 30, clusters=0.125)
    holds(more, whole, 30)  # fewer static places than there could be


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["noise", "same", "zero", "still"])
def test_any_number_is_met_of_any_tokens(name: str, kind: str) -> None:
    for grid in ((1, 4, 5), (7, 1, 1), (5, 3, 4), (12, 2, 2)):
        n = math.prod(grid)
        x = {
            "noise": noise(n, 4),
            "same": torch.ones(n, 4),
            "zero": torch.zeros(n, 4),
            "still": noise(n // grid[0], 4).repeat(grid[0], 1),
        }[kind]
        whole = tokens(grid, x=x, needs=ATTENTION)
        for k in {1, 2, grid[0] - 1, grid[0] + 1, n // 5, n // 2, n - 1} - {0}:
            holds(compress(name, whole, min(k, n - 1)), whole, min(k, n - 1))


@settings(max_examples=50, deadline=None)
@given(grid=grids, data=st.data())
def test_every_token_has_a_row_in_prunevid(grid: Grid, data: st.DataObject) -> None:
    whole = tokens(grid, needs=())
    sets = sum(grid)
    k = data.draw(st.integers(min(sets, len(whole)), len(whole)))
    made = compress("prunevid", whole, k)
    holds(made, whole, k)
    if k >= 2 * grid[0]:
        assert torch.equal(made.src.sort().values, torch.arange(len(whole)))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("holitom", {"tau": 2.0}),
        ("holitom", {"beta": 0.0}),
        ("holitom", {"neighbours": 0}),
        ("fastvid", {"segments": 0}),
        ("fastvid", {"period": None}),
        ("fastvid", {"tau": 1.5}),
        ("fastvid", {"context": 1.5}),
        ("prunevid", {"clusters": 0.0}),
        ("prunevid", {"tau": 1.5}),
        ("prunevid", {"neighbours": 0}),
    ],
)
def test_parameters_that_mean_nothing_are_told(name: str, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"compressor '{name}' does not take that"):
        compress(name, of(noise(2, 4, 3)), 3, **wrong)
