"""Compressors that merge alike tokens: density peaks, bipartite matching, k-means."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from compress_kit import holds, tokens
from numpy.typing import NDArray
from oracle import Case, cases
from torch import Tensor

from videopipe.compress import TokenMap, VisualTokens, compress, density, method
from videopipe.compress.bipartite import merge
from videopipe.compress.dpc_knn import clusters
from videopipe.compress.vqtoken import k_means
from videopipe.errors import ConfigError

sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))
from _compress_plain_merging import PLAIN, ppe

NAMES = ["dpc-knn", "ppe", "tome", "auroracap", "tinychart", "vqtoken", "sttm", "scissor"]
GRIDS = [(1, 6, 5), (5, 3, 4), (9, 1, 1), (11, 2, 1), (2, 7, 9)]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def inputs(n: int) -> dict[str, Tensor]:
    """What a method must survive."""
    x = noise(n, 6)
    return {
        "noise": x,
        "constant": torch.full((n, 6), 0.3),
        "nothing": torch.zeros(n, 6),
        "copies": x[torch.arange(n) // 3],
        "half nothing": x * (torch.arange(n) % 2)[:, None],
        "large": 1e4 * x,
        "bfloat16": x.bfloat16(),
    }


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_any_tokens_is_exact(name: str, grid: tuple[int, int, int]) -> None:
    n = grid[0] * grid[1] * grid[2]
    needs = method(name)().needs
    for x in inputs(n).values():
        whole = tokens(grid, x=x, needs=needs)
        for k in sorted({1, 2, grid[0], n // 3, n - 1}):
            made = compress(name, whole, k)
            holds(made, whole, k)
        again = compress(name, whole, k)
        assert torch.equal(made.src, again.src)
        assert torch.equal(made.weight, again.weight)


@pytest.mark.parametrize("name", [name for name in NAMES if not method(name).whole])
def test_frames_may_have_tokens_of_different_numbers(name: str) -> None:
    whole = tokens((6, 4, 5), needs=method(name)().needs)
    whole = replace(whole, pos=whole.pos + torch.tensor([0.0, 0.25, 0.5]))
    rows = torch.rand(120, generator=torch.Generator().manual_seed(2)) < 0.5
    rows[20:60] = False
    rows[31] = True  # one frame of a single token, one of none
    ragged = whole.take(rows)
    for k in (1, 3, 5, 20, len(ragged) - 1):
        holds(compress(name, ragged, k), ragged, k)
    # After a stage that averages frames, times are between the steps.
    times = ragged.pos.clone()
    times[:, 0] += torch.linspace(0, 0.4, len(ragged))
    between = replace(ragged, pos=times)
    holds(compress(name, between, 9), between, 9)


@pytest.mark.parametrize("name", ["dpc-knn", "tome", "auroracap", "tinychart"])
def test_a_row_is_the_mean_of_tokens_of_its_own_frame(name: str) -> None:
    whole = tokens((4, 5, 6), needs=method(name)().needs)
    made = compress(name, whole, 20)
    assert torch.equal(whole.step[made.src], whole.step[made.host][made.dst])
    assert sorted(made.src.tolist()) == list(range(120))
    size = torch.bincount(made.dst)
    assert torch.allclose(made.weight, 1 / size[made.dst].float())


@pytest.mark.parametrize("name", ["dpc-knn", "tome", "auroracap", "tinychart"])
def test_rows_are_those_of_the_plain_procedure(name: str) -> None:
    whole = tokens((3, 8, 8), dim=16, needs=method(name)().needs)
    plain = PLAIN[name](whole, 48)
    assert isinstance(plain, Tensor)
    ours = compress(name, whole, 48).apply(whole.x)
    assert np.allclose(by_values(ours), by_values(plain), atol=1e-5)


def by_values(rows: Tensor) -> NDArray[np.float32]:
    found = rows.numpy()
    return found[np.lexsort(found.T)]


def case_tokens(case: Case, name: str = "tokens") -> VisualTokens:
    x = torch.from_numpy(case.inputs[name])
    return tokens((len(x), 1, x.shape[1]), x=x.flatten(0, 1), needs=())


# Density peaks


@pytest.mark.parametrize("case", cases("dpc_knn"))
def test_clusters_are_those_of_the_official_code(case: Case) -> None:
    whole, k = case_tokens(case), case.params["K"]
    counts = torch.full((whole.grid[0],), k)
    made = clusters(whole, counts, case.params["k_nearest"])
    official = torch.from_numpy(case.outputs["labels"])
    first = torch.arange(whole.grid[0])[:, None] * k
    assert torch.equal(made.row.view_as(official), official + first)
    rows = compress("dpc-knn", whole, int(counts.sum()), neighbours=case.params["k_nearest"])
    # Ours are in the order of their centres.
    ranked = torch.argsort(made.centre)
    merged = torch.from_numpy(case.outputs["merged"]).flatten(0, 1)
    assert torch.equal(rows.host, made.centre[ranked])
    assert torch.allclose(rows.apply(whole.x), merged[ranked], atol=1e-5)


def by_hand(x: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    apart = torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist")
    apart /= x.shape[1] ** 0.5
    spread = apart.sort(1).values[:, :neighbours].square().mean(1)
    delta = torch.empty(len(x), dtype=torch.float64)
    for i in range(len(x)):
        denser = (spread < spread[i]) | ((spread == spread[i]) & (torch.arange(len(x)) < i))
        delta[i] = apart[i][denser].min() if denser.any() else apart.max()
    return -spread, delta


@pytest.mark.parametrize(("neighbours", "n"), [(1, 23), (4, 23), (30, 23), (3, 32), (5, 40)])
@pytest.mark.parametrize("rows", [2**23, 40], ids=["kept", "in blocks"])
def test_densities_of_sets_of_any_size(
    neighbours: int, n: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(density, "_KEPT", rows)
    monkeypatch.setattr(density, "_AT_ONCE", rows)
    x = noise(5, n, 7) + 50
    there = torch.rand(5, n, generator=torch.Generator().manual_seed(1)) < 0.6
    there[2] = True
    there[3] = False
    there[4] = torch.arange(n) == 9
    made = density.density(x, there, neighbours)
    for number in range(5):
        rho, delta = by_hand(x[number][there[number]], neighbours)
        assert np.allclose(made.log_rho[number][there[number]], rho, atol=1e-4)
        assert np.allclose(made.delta[number][there[number]], delta, atol=1e-4)
    assert (made.score[~there] == -torch.inf).all()
    assert made.score[there].isfinite().all()


def test_clusters_are_the_nearest_centres_however_they_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, there = noise(4, 30, 5) + 9, torch.ones(4, 30, dtype=torch.bool)
    there[1, 11:] = False
    counts = torch.tensor([7, 3, 1, 30])
    best, nearest = density.clusters(x, there, counts)
    for number, count in enumerate(counts.tolist()):
        known = there[number]
        apart = torch.cdist(x[number][known], x[number][best[number, :count]])
        assert torch.equal(nearest[number][known], apart.argmin(1))
    monkeypatch.setattr(density, "_KEPT", 0)
    monkeypatch.setattr(density, "_AT_ONCE", 64)
    again = density.clusters(x, there, counts)
    assert torch.equal(again[1][there], nearest[there])


def test_large_features_are_ranked_as_small_ones() -> None:
    """Published densities of tokens farther than about 100 a feature are all 0."""
    x = noise(1, 40, 8)
    far = density.density(1e3 * x).score[0]
    assert far.isfinite().all()
    assert len(torch.unique(far)) == 40
    assert int(far.argmax()) == int(density.density(1e3 * x).log_rho[0].argmax())


def test_copies_are_taken_from_all_over_a_frame() -> None:
    made = compress("dpc-knn", tokens((1, 4, 5), x=torch.ones(20, 3), needs=()), 4)
    assert made.host.diff().tolist() == [5, 5, 5]


def test_dense_tokens_apart_from_each_other_are_the_centres() -> None:
    places = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    member = torch.arange(60) % 3
    x = places[member] + 0.3 * noise(60, 2)
    made = compress("dpc-knn", tokens((1, 6, 10), x=x, needs=()), 3)
    for row in range(3):
        assert len(set(member[made.src[made.dst == row]].tolist())) == 1
    assert sorted(member[made.host].tolist()) == [0, 1, 2]


def test_ppe_keeps_positions_that_span_each_cluster() -> None:
    whole = tokens((2, 8, 8), dim=4, needs=())
    made = compress("ppe", whole, 12)
    assert made.pos.shape == (12, 8, 3)
    assert torch.equal(made.pos[:, 0], whole.pos[made.host])
    for row in range(12):
        members = whole.pos[made.src[made.dst == row]]
        mine = {tuple(place) for place in made.pos[row].tolist()}
        assert mine <= {tuple(place) for place in members.tolist()}
        assert len(mine) == min(8, len(members))
        mean = made.apply(whole.x)[row]
        apart = (whole.x[made.src[made.dst == row]] - mean).norm(dim=1)
        assert torch.isclose((whole.x[made.host[row]] - mean).norm(), apart.min())
    rows, places = ppe(whole, 12)
    ours = torch.cat([made.apply(whole.x), made.pos.flatten(1)], 1)
    assert np.allclose(by_values(ours), by_values(torch.cat([rows, places.flatten(1)], 1)))


def test_ppe_repeats_the_positions_of_small_clusters_in_turn() -> None:
    x = torch.eye(2)[torch.tensor([0, 0, 0, 1])]
    made = compress("ppe", tokens((1, 1, 4), x=x, needs=()), 2, positions=4)
    columns = made.pos[:, :, 2].tolist()
    assert columns == [[0, 2, 1, 0], [3, 3, 3, 3]]
    single = compress("ppe", tokens((1, 1, 4), x=x, needs=()), 2, positions=1)
    assert single.pos.shape == (2, 1, 3)


# Bipartite matching


def dense(group: Tensor, weight: Tensor, k: int) -> Tensor:
    made = torch.zeros(group.shape[0], k, group.shape[1])
    return made.scatter_(1, group[:, None], weight[:, None])


@pytest.mark.parametrize("case", cases("tome"))
def test_rows_are_those_of_the_official_matching(case: Case) -> None:
    x = torch.from_numpy(case.inputs["tokens"])
    official = torch.from_numpy(case.outputs["W"])
    k = official.shape[1]
    made = merge(x, k, most=case.params["r"], class_token=case.params["class_token"])
    ours = dense(made.group, made.weight, k)
    for mine, theirs, size in zip(ours, official, case.outputs["size"], strict=True):
        mine = mine[(mine > 0).float().argmax(1).argsort()]
        order = (theirs > 0).float().argmax(1).argsort()
        assert torch.allclose(mine, theirs[order], atol=1e-5)
        assert np.allclose((mine > 0).sum(1), size[order.numpy()])
    if not case.params["class_token"]:
        whole = case_tokens(case)
        rows = compress("tome", whole, k * len(x), r=case.params["r"]).apply(whole.x)
        official_rows = torch.from_numpy(case.outputs["tokens"]).flatten(0, 1)
        assert np.allclose(by_values(rows), by_values(official_rows), atol=1e-5)


def joined(made: TokenMap) -> list[set[int]]:
    groups = [set(made.src[made.dst == row].tolist()) for row in range(len(made))]
    return [group for group in groups if len(group) > 1]


def test_tokens_are_compared_by_features_or_by_keys() -> None:
    whole = tokens((1, 4, 4), x=torch.eye(16), needs=())
    x, keys = torch.eye(16), torch.eye(16)
    x[4], keys[7] = x[1], keys[10]
    whole = replace(whole, x=x, signals={"metric:-1": keys})
    assert joined(compress("tome", whole, 15)) == [{1, 4}]
    assert joined(compress("tome", whole, 15, metric="key")) == [{7, 10}]
    for name in ("auroracap", "tinychart"):
        assert joined(compress(name, whole, 15)) == [{7, 10}]
    assert not method("tome")().needs
    assert method("tinychart")().needs == {"metric:-1"}


def test_rounds_are_as_long_as_those_of_the_models() -> None:
    whole = tokens((1, 15, 15), dim=8, needs=["metric:-1"])
    keys = whole.signals["metric:-1"][None]
    for name, most in (("auroracap", 6), ("tinychart", 84)):  # 186 merges in 31 rounds
        made = compress(name, whole, 39)
        group = merge(keys, 39, most=most).group[0]
        ours = torch.empty(225, dtype=torch.int64)
        ours[made.src] = made.dst
        assert len(torch.unique(torch.stack([group, ours]), dim=1).T) == 39


# k-means


def test_clusters_are_of_the_clip_and_rows_of_the_tokens_as_they_are() -> None:
    label = torch.arange(60) % 5
    x = torch.eye(5)[label] + 0.05 * noise(60, 5)
    x = x * (1 + torch.arange(60) % 7)[:, None]  # k-means does not see lengths
    whole = tokens((5, 3, 4), x=x, needs=())
    made = compress("vqtoken", whole, 5)
    for row in range(5):
        members = made.src[made.dst == row]
        assert torch.equal(members, (label == label[made.host[row]]).nonzero().squeeze(1))
        assert torch.allclose(made.apply(x)[row], x[members].mean(0), atol=1e-5)


def test_tokens_end_with_the_most_similar_mean() -> None:
    x = noise(200, 8)
    row, member = k_means(x, 12, 100, torch.Generator().manual_seed(3))
    unit = torch.nn.functional.normalize(x, dim=1)
    means = torch.stack([unit[row == number].mean(0) for number in range(12)])
    cosine = unit @ torch.nn.functional.normalize(means, dim=1).T
    assert torch.equal(row, cosine.argmax(1))
    for number in range(12):
        assert row[member[number]] == number
        assert cosine[member[number], number] == cosine[row == number, number].max()


def test_seeds_are_far_apart() -> None:
    """Drawn evenly, about a third of the clusters of equal tokens would have none.

    Also among those drawn at a time.
    """
    x = torch.eye(40).repeat_interleave(5, 0)
    row, _ = k_means(x, 40, 1, torch.Generator().manual_seed(0))
    assert len(torch.unique(row)) == 40
    assert torch.equal(row.view(40, 5).amin(1), row.view(40, 5).amax(1))


def test_more_rows_are_made_in_stretches_of_frames() -> None:
    whole = tokens((8, 8, 8), dim=6, needs=())
    made = compress("vqtoken", whole, 300)
    holds(made, whole, 300)
    halves = whole.step // 4
    assert torch.equal(halves[made.src], halves[made.host][made.dst])
    frame = tokens((1, 20, 20), dim=6, needs=())  # more rows than in one stretch, of one frame
    holds(compress("vqtoken", frame, 399), frame, 399)


def test_the_seed_is_a_parameter() -> None:
    whole = tokens((4, 6, 6), dim=6, needs=())
    one, other = (compress("vqtoken", whole, 20, seed=seed) for seed in (0, 1))
    assert not torch.equal(one.host, other.host)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("dpc-knn", {"neighbours": 0}),
        ("ppe", {"positions": 0}),
        ("ppe", {"neighbours": 1.5}),
        ("tome", {"metric": "value"}),
        ("tome", {"r": 0}),
        ("auroracap", {"r": 3}),
        ("vqtoken", {"max_iterations": 0}),
        ("vqtoken", {"seed": 0.5}),
        ("sttm", {"root_level": -1}),
        ("sttm", {"temporal": 1.5}),
        ("scissor", {"slack": 1}),
    ],
)
def test_parameters_that_mean_nothing_are_told(name: str, wrong: dict[str, object]) -> None:
    whole = tokens((2, 2, 2), needs=method(name)().needs)
    with pytest.raises(ConfigError, match=f"compressor '{name}' does not take that"):
        compress(name, whole, 3, **wrong)
