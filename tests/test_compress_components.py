"""Compressors that merge what hangs together: quadtrees of frames, components of alike tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from compress_kit import holds, tokens
from numpy.typing import NDArray
from oracle import Case, cases
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from videopipe.compress import VisualTokens, compress, scissor, sttm
from videopipe.compress.links import trees
from videopipe.compress.quadtree import greedy, tree


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def smooth(steps: int, high: int, wide: int, seed: int = 0) -> VisualTokens:
    """Features that change little from place to place, and less over time."""
    small = noise(1, 8, 2, 3, 3, seed=seed)
    x = torch.nn.functional.interpolate(small, (steps, high, wide), mode="trilinear")
    x = x[0].permute(1, 2, 3, 0).reshape(steps * high * wide, 8).contiguous()
    return tokens((steps, high, wide), x=x + 0.2 * noise(*x.shape, seed=seed + 1), needs=())


def case_tokens(case: Case) -> VisualTokens:
    x = torch.from_numpy(case.inputs["tokens"]).flatten(0, 1)
    return tokens(tuple(case.params["grid"]), x=x, needs=())


def by_values(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows[np.lexsort(rows.T)]


# Quadtrees


@pytest.mark.parametrize("case", cases("sttm"))
def test_boxes_and_rows_are_those_of_the_official_code(case: Case) -> None:
    whole = case_tokens(case)
    params = {name: value for name, value in case.params.items() if name != "grid"}
    made = sttm.by_threshold(whole, **params)
    official = case.outputs
    ours = np.concatenate([made.boxes.numpy(), made.patches.numpy()[:, None]], 1)
    theirs = np.concatenate([official["boxes"], official["patches"][:, None]], 1)
    assert ours.shape == theirs.shape
    order, other = np.lexsort(ours.T[::-1]), np.lexsort(theirs.T[::-1])
    assert (ours[order] == theirs[other]).all()
    rows = made.map.apply(whole.x).numpy()
    assert np.allclose(rows[order], official["tokens"][other], rtol=1e-4, atol=1e-5)


def test_what_the_official_code_makes_is_met_by_its_number() -> None:
    """Where all sides are even, a threshold is one of the gains by area."""
    whole = smooth(3, 8, 8)
    made = sttm.by_threshold(whole, 0.9)
    assert 12 < len(made.map) < 192
    ours = compress("sttm", whole, len(made.map))
    holds(ours, whole, len(made.map))
    assert torch.equal(torch.bincount(ours.src, minlength=192), torch.ones(192).long())


def test_a_node_is_the_mean_of_its_tokens_at_the_middle_of_its_box() -> None:
    whole = smooth(2, 7, 10)
    made = sttm.by_threshold(whole, 0.8, weighted_avg=True)
    for row, (step, top, left, bottom, right) in enumerate(made.boxes.tolist()):
        inside = whole.x.view(2, 7, 10, 8)[step, top:bottom, left:right].flatten(0, 1)
        assert made.patches[row] == len(inside)
        assert torch.allclose(made.map.apply(whole.x)[row], inside.mean(0), atol=1e-5)
        middle = [step, (top + bottom - 1) / 2, (left + right - 1) / 2]
        assert np.allclose(made.map.pos[row, 0], middle, atol=1e-5)
        assert made.map.host[row] == (step * 7 + top) * 10 + left


def test_the_mean_of_means_counts_edges_more() -> None:
    whole = tokens((1, 3, 3), x=torch.eye(9), needs=())
    (plain,) = compress("sttm", whole, 1).apply(whole.x)
    assert np.allclose(plain.view(3, 3), [[1 / 4, 1 / 8, 1 / 8], *[[1 / 8, 1 / 16, 1 / 16]] * 2])
    (even,) = compress("sttm", whole, 1, weighted_avg=True).apply(whole.x)
    assert np.allclose(even, 1 / 9)


def test_what_changes_is_split_and_what_does_not_is_one() -> None:
    x = torch.ones(3, 8, 8, 5)
    x[1, 2:4, 4:6] = torch.eye(5)[1:].view(2, 2, 5)
    whole = tokens((3, 8, 8), x=x.flatten(0, 2), needs=())
    made = compress("sttm", whole, 3 * 4 + 6)
    single = {int(host) for host in made.host[torch.bincount(made.dst) == 1]}
    assert single == {64 + row * 8 + column for row in (2, 3) for column in (4, 5)}
    assert torch.bincount(made.pos[:, 0, 0].long()).tolist() == [4, 10, 4]


def test_no_node_left_gains_more_than_one_that_was_split() -> None:
    whole = smooth(4, 8, 8)
    made = tree(whole, sums=False)
    root = made.root(0)
    assert (made.top, root) == (3, 2)
    for k in (4, 7, 31, 100, 130):
        splits = greedy(made, root, k)
        forced = k >= 16
        gain, reached = torch.full((4, 1, 1), torch.inf), torch.ones(4, 1, 1, dtype=torch.bool)
        least, most = torch.inf, 0.0
        for level in range(made.top, 0, -1):
            split = splits.of[level - 1]
            assert not bool((split & ~reached).any())
            if not (forced and level > root):
                # What a node gains is at most what its parent gains: it was waited for.
                own = (1 - made.alike[level - 1]) * made.areas(level)
                gain = torch.minimum(gain, own)
                least = min(least, *gain[split].tolist(), torch.inf)
                most = max(most, *gain[reached & ~split].tolist(), 0.0)
            reached, gain = made.below(reached & split, level), made.below(gain, level)
        assert least >= most
        nodes = 4 + 3 * sum(int(split.sum()) for split in splits.of)
        assert nodes + splits.missing == k
        assert splits.missing < 3


@pytest.mark.parametrize("more", [1, 2])
def test_the_last_node_is_split_in_part_by_what_is_alike(more: int) -> None:
    corners = torch.tensor([[1.0, 0.0, 0.1], [1.0, 0.1, 0.0], [0.0, 1.0, 0.4], [0.1, 0.2, 1.0]])
    whole = tokens((1, 2, 2), x=corners, needs=())
    made = compress("sttm", whole, 1 + more)
    groups = [made.src[made.dst == row].tolist() for row in range(1 + more)]
    assert groups == ([[0, 1], [2, 3]] if more == 1 else [[0, 1], [2], [3]])
    turned = tokens((1, 2, 2), x=corners[[0, 2, 1, 3]], needs=())
    made = compress("sttm", turned, 1 + more)
    groups = [made.src[made.dst == row].tolist() for row in range(1 + more)]
    assert groups == ([[0, 2], [1, 3]] if more == 1 else [[0, 2], [1], [3]])


def test_with_few_rows_frames_are_one_node_and_then_averaged() -> None:
    whole = smooth(6, 4, 4)
    one = compress("sttm", whole, 6)
    assert torch.bincount(one.dst).tolist() == [16] * 6
    three = compress("sttm", whole, 3)
    assert torch.bincount(three.dst).tolist() == [32] * 3
    assert three.pos[:, 0].tolist() == [[0, 1.5, 1.5], [2, 1.5, 1.5], [4, 1.5, 1.5]]


def test_what_stands_still_is_merged_over_time() -> None:
    frame = noise(1, 36, 8)
    still = tokens((5, 6, 6), x=frame.expand(5, -1, -1).flatten(0, 1), needs=())
    made = compress("sttm", still, 36, temporal=0.99)
    holds(made, still, 36)
    assert torch.allclose(made.apply(still.x), frame[0], atol=1e-5)
    assert made.host.tolist() == list(range(36))
    apart = compress("sttm", still, 36)
    assert int(torch.bincount(apart.dst).max()) > 4


@pytest.mark.parametrize("grid", [(5, 7, 9), (1, 4, 4), (9, 1, 5), (3, 2, 2)], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("temporal", [None, -1.0, 0.5, 1.0])
def test_stages_and_roots_change_no_number(
    grid: tuple[int, int, int], weighted: bool, temporal: float | None
) -> None:
    whole = smooth(*grid)
    for k in sorted({1, grid[0], len(whole) // 3, len(whole) - 1}):
        for root in (0, 2):
            made = compress(
                "sttm", whole, k, root_level=root, weighted_avg=weighted, temporal=temporal
            )
            holds(made, whole, k)


# Components


@pytest.mark.parametrize("case", cases("llava_scissor"))
def test_components_are_those_of_the_official_code(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scissor, "_SET", 7)  # of no account where there is a threshold
    whole, official = case_tokens(case), case.outputs
    made = scissor.by_threshold(whole, case.params["tau"])
    assert made.first_step.tolist() == official["first_step"].tolist()
    rows = made.map.apply(whole.x).numpy()
    assert rows.shape == official["tokens"].shape
    assert np.allclose(by_values(rows), by_values(official["tokens"]), rtol=1e-4, atol=1e-5)
    pairs = set(zip(made.labels.tolist(), official["labels"].tolist(), strict=True))
    assert len(pairs) == len(set(made.labels.tolist())) == len(set(official["labels"].tolist()))


def test_trees_cut_at_a_cosine_leave_the_components_of_the_graph() -> None:
    x = noise(70, 4)
    index = torch.arange(70).view(2, 35)
    there = torch.ones(2, 35, dtype=torch.bool)
    there[1, 20:] = False
    links = trees(x, index, there)
    assert len(links.cosine) == 34 + 19
    assert bool((links.cosine.diff() <= 0).all())
    unit = torch.nn.functional.normalize(x, dim=1)
    for tau in (0.5, 0.7, 0.9, 0.97):
        alike = unit @ unit.T > tau
        alike[:35, 35:] = alike[35:, :35] = False
        alike[55:] = alike[:, 55:] = False
        wanted = torch.from_numpy(connected_components(alike.numpy())[1])
        ours = links.over(tau).groups(70)
        both = torch.unique(torch.stack([wanted.long(), ours]), dim=1)
        assert both.shape[1] == len(torch.unique(ours)) == len(torch.unique(wanted))


@pytest.mark.parametrize("stretch", [2048, 16])
def test_what_comes_again_in_other_frames_is_one_row(
    stretch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scissor, "_SET", stretch)
    label = (torch.arange(8 * 12) * 5) % 6
    x = 3 * torch.eye(6)[label] + 0.05 * noise(96, 6)
    whole = tokens((8, 3, 4), x=x, needs=())
    made = compress("scissor", whole, 6)
    holds(made, whole, 6)
    rows = made.apply(whole.x)
    means = torch.stack([x[label == number].mean(0) for number in range(6)])
    assert np.allclose(by_values(rows.numpy()), by_values(means.numpy()), atol=0.05)
    assert sorted(label[made.host].tolist()) == list(range(6))


def test_stretches_change_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scissor, "_SET", 5)
    whole = smooth(6, 4, 4)
    for k in (1, 2, 6, 20, 50, 95):
        made = compress("scissor", whole, k)
        holds(made, whole, k)
        assert len(torch.unique(made.src)) == 96  # nothing is lost


def test_the_two_steps_are_cut_at_about_the_same_cosine() -> None:
    whole = smooth(4, 6, 6)
    taus = torch.linspace(0.5, 1, 100).tolist()
    published = [scissor.by_threshold(whole, tau) for tau in taus]
    for k in (20, 50, 100):
        made = compress("scissor", whole, k, slack=0.0)
        theirs = min(published, key=lambda each: abs(len(each.map) - k))
        assert abs(len(theirs.map) - k) <= 3
        # Nearly the same rows: of most tokens, the same ones are in the row that they are in.
        a, b = (_together(of.to_dense()) for of in (made, theirs.map))
        assert (a == b).float().mean() > 0.97


def _together(dense: Tensor) -> Tensor:
    own = dense.argmax(0)
    return own[:, None] == own


def test_a_row_takes_in_what_is_most_like_it_and_its_mean_counts_once() -> None:
    x = torch.tensor([[1.0, 0.0], [1.0, 0.02], [0.0, 1.0], [0.02, 1.0], [0.75, 0.66]])
    whole = tokens((1, 1, 5), x=x, needs=())
    made = scissor.by_threshold(whole, 0.99)
    assert made.first_step.tolist() == [3]
    rows = made.map.apply(x)
    assert torch.allclose(rows, torch.stack([x[:2].mean(0), x[2:4].mean(0), x[4]]))
    chain = scissor.by_threshold(whole, 0.6)  # all hang together
    assert torch.allclose(chain.map.apply(x)[0], x.mean(0))
