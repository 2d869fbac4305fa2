"""Compressors by attention: what official implementations keep, and what makes each itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from compress_kit import grids, holds, tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracle import Case, cases
from torch import Tensor

from pipelines._compress_plain_attention import PLAIN
from videopipe.compress import TokenMap, compose, compress
from videopipe.errors import ConfigError

NAMES = [
    "fastervlm",
    "fopru",
    "fopru(strategy=row)",
    "hiprune",
    "hiprune(alpha=1)",
    "prumerge",
    "recoverable",
    "vflowopt",
    "vflowopt(cell=2.5, alpha=0.5)",
    "visiondrop",
    "visionzip(dominant=0.2)",
    "vispruner",
    "vtc-cls",
]


def frames_of(case: Case) -> tuple[int, int, int]:
    """The grid of a case: its images as frames."""
    high, wide = case.params["grid"]
    first = next(iter(case.inputs.values()))
    return (len(first) if first.ndim > 2 else 1, high, wide)


def flat(values: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).flatten()


def kept_mask(made: TokenMap, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    assert made.is_pruning
    mask = np.zeros(made.tokens_in, dtype=bool)
    mask[made.host.numpy()] = True
    return mask.reshape(shape)


@pytest.mark.parametrize("case", cases("fastervlm"))
def test_fastervlm_keeps_what_the_official_one_keeps(case: Case) -> None:
    score = case.inputs["cls_attention"].mean(1)
    assert np.allclose(score, case.outputs["scores"], atol=1e-6)
    whole = replace(tokens(frames_of(case)), signals={"attention:-2": flat(score)})
    made = compress("fastervlm", whole, case.params["K"] * len(score))
    assert np.array_equal(kept_mask(made, score.shape), case.outputs["mask"])


@pytest.mark.parametrize("case", cases("vtc_cls"))
def test_vtc_cls_keeps_what_its_formula_keeps(case: Case) -> None:
    blocks = case.inputs["cls_attention"][case.params["start_layer"] : -1].mean(1)
    score = flat(blocks.mean(0))
    assert np.allclose(score * len(blocks), case.outputs["scores"], atol=1e-6)
    whole = replace(tokens((1, *case.params["grid"])), signals={"attention:-8..-2": score})
    made = compress("vtc-cls", whole, case.params["K"])
    assert made.host.tolist() == case.outputs["indices"].tolist()


@pytest.mark.parametrize("case", cases("hiprune"))
def test_hiprune_keeps_what_the_official_one_keeps(case: Case) -> None:
    middle, deep = (
        case.inputs[f"attention_{name}"].mean((1, 2))[:, 1:] for name in ("mid", "deep")
    )
    whole = replace(
        tokens(frames_of(case)), signals={"recv:8": flat(middle), "recv:-2": flat(deep)}
    )
    k = case.params["K_per_image"] * len(middle)
    made = compress("hiprune", whole, k, alpha=case.params["alpha"], middle=8, deep=-2)
    assert np.array_equal(kept_mask(made, middle.shape), case.outputs["mask"])


@pytest.mark.parametrize("case", cases("vispruner"))
def test_vispruner_keeps_what_the_official_one_keeps(case: Case) -> None:
    score = case.inputs["cls_attention"].mean(1)
    before = torch.from_numpy(case.inputs["tokens"]).flatten(0, 1)
    whole = replace(tokens(frames_of(case)), signals={"attention:-2": flat(score), "pre": before})
    made = compress(
        "vispruner",
        whole,
        case.params["K"] * len(score),
        important=case.params["important_ratio"],
        step=case.params["step"],
    )
    assert np.array_equal(kept_mask(made, score.shape), case.outputs["mask"])


@pytest.mark.parametrize("case", cases("visionzip"))
def test_visionzip_merges_what_the_official_one_merges(case: Case) -> None:
    """Not in the same proportions: there the target counts as much as all that join it."""
    grid, n = frames_of(case), case.params["grid"][0] * case.params["grid"][1]
    dominant, contextual = case.params["dominant"], case.params["contextual"]
    metric = torch.from_numpy(case.inputs["keys"][:, 1:]).flatten(0, 1)
    score = flat(case.inputs["cls_attention"].sum(1))
    x = torch.from_numpy(case.inputs["hidden"][:, 1:]).flatten(0, 1)
    whole = tokens(grid, x=x, needs=())
    whole = replace(whole, signals={"attention:-2": score, "metric:-2": metric})
    k = dominant + contextual
    made = compress("visionzip", whole, k * grid[0], dominant=dominant / k)
    frames = made.to_dense().view(grid[0], k, grid[0], n)
    for frame in range(grid[0]):
        rows, host = frames[frame, :, frame], made.host.view(grid[0], k)[frame] - frame * n
        assert int((frames[frame] != 0).any(0).any(1).sum()) == 1  # of its own frame only
        official = torch.from_numpy(case.outputs["contextual_W"][frame, :, 1:])
        chosen = torch.from_numpy(case.outputs["dominant"][frame])
        ours = torch.isin(host, chosen)
        assert torch.equal(host[ours], chosen)
        # The official rows are in the order of their targets, as ours are.
        assert torch.equal(rows[~ours] > 0, official > 0)
        mean = (official > 0) / (official > 0).sum(1, keepdim=True)
        assert torch.allclose(rows[~ours], mean, atol=1e-6)
        kept = made.apply(x).view(grid[0], k, -1)[frame][ours]
        official_kept = case.outputs["tokens"][frame, 1 : 1 + dominant]
        assert np.allclose(kept, official_kept, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", cases("prumerge"))
def test_prumerge_merges_what_the_official_one_merges(case: Case) -> None:
    """Rows are theirs divided by the sum of the weights."""
    keys = torch.from_numpy(case.inputs["keys"])
    query = torch.from_numpy(case.inputs["query_cls"])
    attention = (keys @ query / len(query) ** 0.5).softmax(0)[1:]
    assert np.allclose(attention, case.outputs["cls_attention"], atol=1e-6)
    x = torch.from_numpy(case.inputs["features"])
    whole = tokens((1, *case.params["grid"]), x=x, needs=())
    whole = replace(whole, signals={"attention:-1": attention, "key:-1": keys[1:]})
    official = torch.from_numpy(case.outputs["W"])
    made = compress("prumerge", whole, len(official), neighbours=case.params["neighbours"])
    kept = torch.from_numpy(case.outputs["indices"])
    rest = official[-1].argmax()
    order = torch.cat([kept, rest[None]]).argsort()
    assert made.host.tolist() == sorted([*kept.tolist(), int(rest)])
    theirs = official[order]
    total = theirs.sum(1, keepdim=True)
    assert torch.allclose(made.to_dense(), theirs / total, atol=1e-5)
    tokens_there = torch.from_numpy(case.outputs["tokens"])[order]
    assert torch.allclose(made.apply(x), tokens_there / total, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spec", NAMES)
@settings(max_examples=25, deadline=None)
@given(grid=grids, data=st.data())
def test_every_grid_and_number_gives_as_many_rows(
    spec: str, grid: tuple[int, int, int], data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(["noise", "same", "zero", "copies"]))
    whole = tokens(grid, dim=6, needs=compose(spec).needs, seed=data.draw(st.integers(0, 9)))

    def dull(of: Tensor) -> Tensor:
        return {
            "noise": of,
            "same": torch.full_like(of, 0.25),
            "zero": torch.zeros_like(of),
            "copies": of[torch.arange(len(of)) // 3 * 3],
        }[kind]

    signals = {name: dull(value) for name, value in whole.signals.items()}
    whole = replace(whole, x=dull(whole.x), signals=signals)
    k = data.draw(st.integers(1, len(whole)))
    holds(compress(spec, whole, k), whole, k)
    rows = data.draw(st.lists(st.booleans(), min_size=len(whole), max_size=len(whole)))
    if any(rows):
        some = whole.take(torch.tensor(rows))
        k = data.draw(st.integers(1, len(some)))
        holds(compress(spec, some, k), some, k)


@pytest.mark.parametrize("name", ["fastervlm", "vtc-cls", "fopru", "vispruner"])
def test_the_plain_ones_keep_the_same(name: str) -> None:
    whole = tokens((3, 8, 8), dim=6)
    plain = PLAIN[name](whole, 3 * 16)
    assert isinstance(plain, Tensor)
    assert compress(name, whole, 3 * 16).host.tolist() == plain.tolist()


@pytest.mark.parametrize("name", ["hiprune", "prumerge", "vflowopt", "visiondrop", "visionzip"])
def test_the_plain_ones_make_as_much(name: str) -> None:
    whole = tokens((3, 16, 16), dim=6)
    plain = PLAIN[name](whole, 3 * 40)
    assert isinstance(plain, Tensor)
    assert len(plain) == 3 * 40


def test_one_block_is_that_of_fastervlm_and_several_are_their_mean() -> None:
    whole = tokens((2, 5, 5))
    one = compress("fastervlm", whole, 12)
    assert torch.equal(one.host, compress("vtc-cls", whole, 12, block=-2).host)
    assert compose("vtc-cls").needs == {"attention:-8..-2"}
    assert compose("fopru").needs == {"recv:-2"}
    assert compose("fastervlm(block=-3, demand=relevance)").needs == {"attention:-3", "relevance"}


def test_of_equal_attention_the_earlier_token_is_kept() -> None:
    score = torch.tensor([0.0, -0.0, 0.5, 0.0, 0.5, 0.1] * 2)
    whole = replace(tokens((2, 2, 3), needs=()), signals={"attention:-2": score})
    assert compress("fastervlm", whole, 8).host.tolist() == [0, 2, 4, 5, 6, 8, 10, 11]


def rows_kept(score: list[float], k: int) -> list[int]:
    whole = replace(tokens((1, 3, 4), needs=()), signals={"recv:-2": torch.tensor(score)})
    return compress("fopru", whole, k, strategy="row").host.tolist()


def test_fopru_keeps_whole_rows_and_the_best_of_the_next() -> None:
    score = [0.3, 0.3, 0.3, 0.3, 0.0, 0.9, 0.0, 0.1, 0.5, 0.4, 0.5, 0.6]
    assert rows_kept(score, 8) == [0, 1, 2, 3, 8, 9, 10, 11]
    assert rows_kept(score, 4) == [8, 9, 10, 11]
    assert rows_kept(score, 10) == [0, 1, 2, 3, 5, 7, 8, 9, 10, 11]
    assert rows_kept(score, 2) == [8, 11]
    assert rows_kept([0.1] * 12, 8) == list(range(8))


def hiprune_kept(anchor: int, k: int, alpha: float) -> list[int]:
    """Of a grid 5 x 5 whose last tokens are the best in the deep block."""
    middle = torch.zeros(25)
    middle[anchor] = 1
    whole = tokens((1, 5, 5), needs=())
    deep = torch.arange(25.0) / 100
    whole = replace(whole, signals={"recv:50%": middle, "recv:-1": deep})
    return compress("hiprune", whole, k, alpha=alpha).host.tolist()


def test_neighbours_of_an_anchor_end_at_the_edge() -> None:
    assert hiprune_kept(12, 8, 0.6) == [7, 11, 12, 13, 17, 22, 23, 24]
    # At the left edge the released code takes token 9, the end of the row above.
    assert hiprune_kept(10, 8, 0.6) == [5, 10, 11, 15, 21, 22, 23, 24]
    assert hiprune_kept(0, 8, 0.6) == [0, 1, 5, 20, 21, 22, 23, 24]
    # Where not all neighbours fit, those that the deep block attends to more.
    assert hiprune_kept(12, 3, 1.0) == [12, 13, 17]
    assert hiprune_kept(12, 8, 0.0) == list(range(17, 25))


def test_vispruner_drops_copies_before_what_differs() -> None:
    x = torch.eye(16)[[0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10]]  # 15: an odd list
    score = torch.arange(15.0).flip(0)
    whole = replace(tokens((1, 3, 5), needs=()), signals={"attention:-2": score, "pre": x})
    made = compress("vispruner", whole, 11, important=0)
    assert made.host.tolist() == [1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14]
    assert compress("vispruner", whole, 11, important=1.0).host.tolist() == list(range(11))


def test_vispruner_thins_large_frames_in_parts() -> None:
    whole = tokens((1, 40, 40), dim=4)
    made = compress("vispruner", whole, 320)
    holds(made, whole, 320)
    best = whole.signals["attention:-2"].topk(160).indices
    assert bool(torch.isin(best, made.host).all())


def test_targets_reach_the_last_of_the_others() -> None:
    """The released code takes the first ones: with 9 tokens and 5 targets the first five."""
    whole = tokens((1, 1, 9), dim=4)
    made = compress("visionzip", whole, 5, dominant=0)
    assert made.host.tolist() == [0, 1, 3, 5, 7]
    assert made.pos[:, 0, 2].tolist() == [0, 1, 3, 5, 7]


def test_a_contextual_row_is_the_mean_of_its_tokens() -> None:
    metric = torch.eye(2)[[0, 1, 0, 1, 0, 1]]
    signals = {"attention:-2": torch.rand(6), "metric:-2": metric}
    whole = replace(tokens((1, 1, 6), needs=()), signals=signals)
    made = compress("visionzip", whole, 2, dominant=0)
    assert made.host.tolist() == [0, 3]
    assert torch.allclose(made.to_dense(), metric.T / 3)


def test_in_prumerge_a_token_counts_one_and_what_it_takes_in_its_attention() -> None:
    attention = torch.tensor([0.5, 0.25, 0.125, 0.125])
    keys = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.5, 0.5]])
    whole = replace(
        tokens((1, 2, 2), needs=()), signals={"attention:-1": attention, "key:-1": keys}
    )
    dense = compress("prumerge", whole, 2, neighbours=1).to_dense()
    assert torch.allclose(dense[0], torch.tensor([0.8, 0.2, 0.0, 0.0]))
    assert torch.allclose(dense[1], torch.tensor([0.0, 0.5, 0.25, 0.25]))


@pytest.mark.parametrize(
    ("spec", "wrong"),
    [
        ("fastervlm", {"block": "last"}),
        ("fastervlm", {"demand": "much"}),
        ("fopru", {"strategy": "column"}),
        ("hiprune", {"alpha": 2.0}),
        ("prumerge", {"neighbours": -1}),
        ("recoverable", {"text": float("nan")}),
        ("vflowopt", {"cell": 0.5}),
        ("vflowopt", {"alpha": float("inf")}),
        ("visionzip", {"dominant": 1.5}),
        ("vispruner", {"important": -0.1}),
        ("vispruner", {"step": 0}),
    ],
)
def test_parameters_that_mean_nothing_are_told(spec: str, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"compressor '{spec}' does not take that"):
        compose(spec, **wrong)
