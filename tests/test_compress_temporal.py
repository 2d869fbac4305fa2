"""Compressors by change over time: what official ones keep, and what makes each itself."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from compress_kit import grids, holds, tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Case, cases
from torch import Tensor
from torch.nn.functional import normalize

from pipelines._compress_plain_temporal import PLAIN
from videopipe.compress import VisualTokens, changes, compress, vidcom2
from videopipe.compress.frames import by_frame, top
from videopipe.errors import ConfigError

Grid = tuple[int, int, int]
CHANGES = ["evs", "evs(reference=previous)", "framefusion", "framefusion(reference=kept)"]


def of(x: Tensor, grid: Grid | None = None) -> VisualTokens:
    """Tokens ``x`` ``[T, n, D]``, of frames of one row unless a grid is given."""
    return tokens(grid or (x.shape[0], 1, x.shape[1]), x=x.flatten(0, 1), needs=())


def case_tokens(case: Case) -> VisualTokens:
    return of(torch.from_numpy(case.inputs["tokens"]), tuple(case.params["grid"]))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def per_frame(host: Tensor, grid: Grid) -> list[int]:
    return torch.bincount(host // (grid[1] * grid[2]), minlength=grid[0]).tolist()


def far_from_kept(x: Tensor, host: Tensor) -> float:
    """How far tokens ``[T, n, D]`` are from the last kept one at their cell, on average."""
    kept = torch.zeros(x.shape[:2], dtype=torch.bool).view(-1).index_fill(0, host, True)
    unit = normalize(x, dim=2)
    last, apart = unit[0], []
    for step, mine in enumerate(kept.view(x.shape[:2])):
        last = torch.where(mine[:, None], unit[step], last)
        apart.append(1 - (unit[step] * last).sum(1))
    return float(torch.stack(apart).mean())


def fade(steps: int, n: int, dim: int = 32) -> Tensor:
    """From one picture to another, evenly."""
    share = torch.linspace(0, 1, steps)[:, None, None]
    return noise(n, dim) * (1 - share) + noise(n, dim, seed=1) * share


@pytest.mark.parametrize("case", cases("evs"))
def test_evs_keeps_what_vllm_keeps(case: Case) -> None:
    steps, high, wide = case.params["thw"]
    side = case.params["spatial_merge_size"]
    whole = of(torch.from_numpy(case.inputs["tokens"]), (steps, high // side, wide // side))
    mask = case.outputs["mask"]
    for name in ("evs", "dtd"):
        made = compress(name, whole, int(mask.sum()), reference="previous")
        assert np.array_equal(made.host.numpy(), mask.flatten().nonzero()[0])


@pytest.mark.parametrize("case", cases("dycoke"))
def test_dycoke_keeps_what_the_official_one_keeps_of_whole_groups(case: Case) -> None:
    steps, high, wide = case.params["grid"]
    n, official = high * wide, case.outputs["indices"]
    k = len(official)
    if steps % 4 == 0:  # it leaves the third frame of the last group whole
        k -= n - case.params["keep_per_reduced_frame"]
        official = official[official // n != steps - 2]
    ours = compress("dycoke", case_tokens(case), k).host.numpy()
    if steps % 4 == 0:
        assert (ours // n == steps - 2).sum() == case.params["keep_per_reduced_frame"]
        ours = ours[ours // n != steps - 2]
    assert np.array_equal(ours, official)


@pytest.mark.parametrize("case", cases("framefusion"))
def test_framefusion_merges_what_the_official_one_merges(case: Case) -> None:
    grid, first = case.params["grid"], case.params["prefix"]
    visual = slice(first, first + math.prod(grid))
    x = torch.from_numpy(case.inputs["hidden"])[visual]
    keep = case.outputs["keep"]
    mine = (keep >= visual.start) & (keep < visual.stop)
    made = compress("framefusion", of(x[None], tuple(grid)), int(mine.sum()))
    assert np.array_equal(made.host.numpy(), keep[mine] - first)
    assert np.allclose(made.apply(x), case.outputs["hidden"][mine], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", cases("vidcom2"))
def test_vidcom2_scores_and_keeps_what_the_official_one_does(case: Case) -> None:
    whole, out = case_tokens(case), case.outputs
    known = vidcom2.usual(whole, case.params["channel_ratio"])
    assert np.allclose(known.video, out["video_score"].flatten(), atol=1e-4)
    assert np.allclose(known.frame, out["frame_score"].flatten(), atol=1e-4)
    demand = vidcom2.demand(vidcom2.uniqueness(whole), case.params["temperature"])
    scales = (case.params["base_scale"] * demand).clamp(max=1)
    assert np.allclose(scales, out["scales"], atol=1e-4)
    counts = torch.from_numpy(out["per_frame"])
    kept = top(-(known.video + known.frame), by_frame(whole), counts)
    assert np.array_equal(kept, out["indices"])
    # With its number of tokens, shares differ by less than a token a frame.
    made = compress("vidcom2", whole, len(out["indices"]))
    ours = per_frame(made.host, whole.grid)
    assert np.abs(np.array(ours) - out["per_frame"]).max() <= 1
    assert len({*made.host.tolist()} ^ {*out["indices"].tolist()}) <= 2 * whole.grid[0]


@pytest.mark.parametrize("steps", [12, 80])  # all pairs of frames compared, or one after another
def test_a_slow_fade_is_sampled_only_if_compared_with_what_was_kept(steps: int) -> None:
    """The picture fades in steps too small to be seen; what jumps is a corner, over and over."""
    x = fade(steps, 16)
    x[1::2, 12:] += 4
    whole, k = of(x, (steps, 4, 4)), 16 + 4 * (steps - 1)
    previous = compress("evs", whole, k, reference="previous").host
    kept = compress("evs", whole, k).host
    assert int((previous[16:] % 16 < 12).sum()) == 0  # never again after the first frame
    fading = kept[kept % 16 < 12]
    assert len(torch.unique(fading // 16)) >= 3
    assert far_from_kept(x[:, :12], _within(fading)) < 0.5 * far_from_kept(
        x[:, :12], torch.arange(12)
    )


def _within(host: Tensor) -> Tensor:
    """Tokens of twelve of sixteen cells, numbered among those."""
    return host // 16 * 12 + host % 16


@pytest.mark.parametrize("steps", [30, 90])
@pytest.mark.parametrize("part", [0.05, 0.2, 0.5])
def test_what_is_kept_stands_for_the_rest(steps: int, part: float) -> None:
    walk = noise(steps, 64, 16).cumsum(0) * 0.2 + noise(64, 16, seed=1)
    for x in (walk, fade(steps, 64)):
        k = round(part * steps * 64) + 64
        previous, kept = (
            compress("evs", of(x), k, reference=reference).host
            for reference in ("previous", "kept")
        )
        assert len(kept) == k
        assert far_from_kept(x, kept) < 0.75 * far_from_kept(x, previous)


def test_what_turns_evenly_is_sampled_at_even_distances() -> None:
    angle = torch.linspace(0, math.pi / 2, 65)[:, None, None]
    ends = normalize(noise(2, 32, 256), dim=2)
    x = angle.cos() * ends[0] + angle.sin() * ends[1]
    counts = per_frame(compress("evs", of(x), 32 * 5).host, (65, 1, 32))
    assert counts[0] == 32
    for start in (1, 17, 33, 49):  # about 32 tokens of each quarter
        assert 24 <= sum(counts[start : start + 16]) <= 40
    # All cells are about the same: some are sampled once more, not all a bit too early.
    host = compress("evs", of(x), 32 * 5 + 16).host
    steps = [host[host % 32 == cell] // 32 for cell in range(32)]
    assert min(int(some.diff().min()) for some in steps) >= 8


def test_both_ways_to_compare_with_what_was_kept_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = of(noise(20, 70, 8).cumsum(0))
    pairs = compress("evs", whole, 300).host
    monkeypatch.setattr(changes, "_PAIRS", 0)
    assert torch.equal(compress("evs", whole, 300).host, pairs)


@pytest.mark.parametrize("steps", [9, 100])
def test_the_search_goes_over_the_tokens_a_few_times(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    since = changes._Cells.since

    def counted(cells: changes._Cells, threshold: float | None) -> Tensor:
        passes.append(cells.first.numel())
        return since(cells, threshold)

    monkeypatch.setattr(changes._Cells, "since", counted)
    for x in (fade(steps, 64), noise(steps, 64, 8), torch.ones(steps, 64, 4)):
        passes.clear()
        assert len(compress("evs", of(x), 64 + 4 * steps)) == 64 + 4 * steps
        assert sum(passes) <= (1 + 8 + 1) * 64


def test_the_first_frame_is_whole_or_competes() -> None:
    x = noise(6, 16, 8)
    for name in CHANGES:
        assert per_frame(compress(name, of(x, (6, 4, 4)), 20).host, (6, 4, 4))[0] == 16
    # A flat picture with one other token, which then moves: both of its places are worth a token.
    flat = torch.ones(5, 16, 2)
    flat[0, 5] = flat[1:, 10] = torch.tensor([1.0, -1.0])
    for name in CHANGES:
        host = compress(name, of(flat, (5, 4, 4)), 5).host.tolist()
        assert {0, 5, 6, 26} <= set(host)


def test_where_nothing_changes_tokens_are_taken_at_even_distances() -> None:
    whole = of(noise(1, 16, 4).expand(9, -1, -1))
    for name in ("evs", "evs(reference=previous)"):
        assert per_frame(compress(name, whole, 16 + 32).host, (9, 1, 16)) == [16] + [4] * 8


def test_equal_tokens_of_great_length_do_not_differ() -> None:
    """1 - cosine of bfloat16 copies is rounding; their distance is not."""
    x = (noise(1, 8, 64) * 300).expand(70, -1, -1).clone()
    x[40, 3] += 1e-2
    assert compress("evs", of(x), 9).host.tolist() == [*range(8), 40 * 8 + 3]


def test_framefusion_averages_runs_into_their_heads() -> None:
    x = noise(5, 2, 3)
    x[1, 0], x[2, 0], x[4, 1] = x[0, 0] * 1.1, x[0, 0] * 1.3, x[3, 1] * 3
    made = compress("framefusion", of(x), 7)
    assert made.host.tolist() == [0, 1, 3, 5, 6, 7, 8]
    assert torch.allclose(made.apply(x.flatten(0, 1))[0], x[:3, 0].mean(0))
    assert torch.allclose(made.apply(x.flatten(0, 1))[5], x[3:, 1].mean(0))
    assert made.pos[5, 0].tolist() == [3, 0, 1]  # of its head


def test_the_ends_of_a_merged_run_are_alike_if_compared_with_its_head() -> None:
    x = torch.cat([fade(40, 4), noise(40, 4, 32, seed=3)], 1)
    k = 8 + 4 * 39 + 8
    spans = []
    for reference in ("previous", "kept"):
        made = compress("framefusion", of(x), k, reference=reference)
        unit = normalize(x.flatten(0, 1), dim=1)
        spans.append(float((unit[made.src] * unit[made.host[made.dst]]).sum(1).min()))
    assert spans[0] < 0.5 < spans[1]


@settings(max_examples=60, deadline=None)
@given(grid=grids, data=st.data())
def test_every_token_is_in_one_run(grid: Grid, data: st.DataObject) -> None:
    whole = tokens(grid, needs=())
    k = data.draw(st.integers(1, len(whole)))
    name = data.draw(st.sampled_from(CHANGES[2:]))
    made = compress(name, whole, k)
    holds(made, whole, k)
    assert torch.equal(made.src.sort().values, torch.arange(len(whole)))
    if k >= grid[1] * grid[2]:  # runs are of one cell
        cells = whole.pos[:, 1:]
        assert torch.equal(cells[made.src], cells[made.host[made.dst]])
        assert torch.equal(made.pos[:, 0], whole.pos[made.host])


@pytest.mark.parametrize("steps", range(1, 14))
def test_dycoke_loses_no_frame(steps: int) -> None:
    grid = (steps, 3, 4)
    whole = tokens(grid, dim=8, needs=())
    groups = -(-steps // 4)
    for few in (1, 3, 11):
        counts = per_frame(
            compress("dycoke", whole, 12 * groups + few * (steps - groups)).host, grid
        )
        assert counts == [few if step % 4 else 12 for step in range(steps)]
    # With less than the whole frames these keep as many each; the first of all at even distances.
    if groups > 1:
        host = compress("dycoke", whole, 4 * groups).host
        assert per_frame(host, grid) == [0 if step % 4 else 4 for step in range(steps)]
        assert host[:4].tolist() == [2, 5, 8, 11]


def test_dycoke_keeps_of_the_third_frame_what_differs_from_the_first() -> None:
    x = noise(1, 6, 4).repeat(4, 1, 1)
    x[1, 2] = x[2, 3] = x[3, 3] = -x[0, 3]
    x[3, 5] = -x[0, 5]
    # The fourth is compared with the third, whose token 3 it repeats.
    assert compress("dycoke", of(x), 9).host.tolist() == [*range(6), 6 + 2, 12 + 3, 18 + 5]


def test_vidcom2_gives_all_frames_as_much_if_they_are_the_same() -> None:
    x = noise(1, 36, 16).repeat(8, 1, 1)
    assert per_frame(compress("vidcom2", of(x), 80).host, (8, 1, 36)) == [10] * 8


def test_vidcom2_gives_an_odd_frame_the_most_and_keeps_what_is_odd_in_a_frame() -> None:
    x = noise(1, 1, 16) + 0.1 * noise(8, 36, 16, seed=1)
    x[5] = noise(1, 16, seed=2) + 0.1 * x[5]
    counts = per_frame(compress("vidcom2", of(x), 72).host, (8, 1, 36))
    assert counts[5] > 1.5 * max(counts[:5] + counts[6:])
    odd = x.clone()
    odd[:, 7] = -odd[:, 7]
    host = compress("vidcom2", of(odd), 8).host
    assert set((host % 36).tolist()) == {7}
    half = compress("vidcom2", of(x.half()), 72).host
    assert (
        len({*half.tolist()} & {*compress("vidcom2", of(x.half().float()), 72).host.tolist()}) == 72
    )


def test_vidcom2_takes_frames_of_any_number_of_tokens() -> None:
    whole = tokens((6, 4, 4), dim=8, needs=())
    some = whole.take(torch.cat([torch.arange(5), torch.arange(40, 41), torch.arange(60, 96)]))
    for k in range(1, len(some)):
        holds(compress("vidcom2", some, k), some, k)
    assert vidcom2.uniqueness(some).isinf().tolist() == [False, True, False] + [False] * 3
    even = of(noise(1, 1, 16) + 0.1 * noise(2, 40, 16, seed=1)).take(torch.arange(50))
    made = compress("vidcom2", replace(even, x=even.x.sign()), 20)
    assert int((made.host < 40).sum()) > 14  # of the frame of 40, not half of all
    shares = vidcom2.demand(vidcom2.uniqueness(some))
    assert shares[1] == 0
    assert shares.sum() == pytest.approx(5)


def test_plain_procedures_keep_the_same() -> None:
    whole = tokens((10, 5, 6), dim=16, needs=())
    for k in (60, 120, 250):
        for name in ("evs", "dtd"):
            ours = compress(name, whole, k, reference="previous").host
            assert ours.tolist()[:k] == PLAIN[name](whole, k).tolist()[:k]
        rows = compress("framefusion", whole, k).apply(whole.x)
        assert torch.allclose(rows, PLAIN["framefusion"](whole, k), atol=1e-5)
    kept = PLAIN["dycoke"](whole, 30 * 3 + 7 * 9)
    assert sorted(kept.tolist()) == compress("dycoke", whole, 30 * 3 + 7 * 9).host.tolist()


@pytest.mark.parametrize("name", [*CHANGES, "dtd", "dycoke", "vidcom2"])
@pytest.mark.parametrize("kind", ["noise", "same", "zero", "copies"])
def test_any_number_is_met_of_any_tokens(name: str, kind: str) -> None:
    for grid in ((1, 4, 5), (7, 1, 1), (5, 3, 4), (70, 2, 2)):
        n = math.prod(grid)
        x = {
            "noise": noise(n, 4),
            "same": torch.ones(n, 4),
            "zero": torch.zeros(n, 4),
            "copies": noise(3, 4)[torch.arange(n) % 3],
        }[kind]
        whole = tokens(grid, x=x, needs=())
        for k in {1, 2, grid[0] - 1, grid[0] + 1, n // 5, n // 2, n - 1} - {0}:
            holds(compress(name, whole, min(k, n - 1)), whole, min(k, n - 1))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("evs", {"reference": "next"}),
        ("framefusion", {"reference": 1}),
        ("vidcom2", {"temperature": 0.0}),
        ("vidcom2", {"channels": 0.0}),
    ],
)
def test_parameters_that_mean_nothing_are_told(name: str, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"compressor '{name}' does not take that"):
        compress(name, of(noise(2, 4, 3)), 3, **wrong)
