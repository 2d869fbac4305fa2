"""Tokens far from each other: DivPrune, ZOO-Prune and ToDRE pick as their procedures do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from compress_kit import holds, tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Case, cases
from torch import Tensor, nn
from torch.nn.functional import gelu, linear

from pipelines._compress_plain_diversity import PLAIN
from videopipe.compress import VisualTokens, compose, compress, max_min, sensitivity, todre
from videopipe.compress.directions import unit_rows
from videopipe.compress.divprune import DivPrune
from videopipe.compress.todre import ToDRE
from videopipe.compress.zoo_prune import ZooPrune
from videopipe.errors import ConfigError

NAMES = ("divprune", "todre", "zoo-prune")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def film(steps: int, n: int, dim: int, seed: int = 0) -> Tensor:
    """Frames that change little, with a cut every fourth; ``[steps * n, dim]``."""
    still = noise(-(-steps // 4), n, dim, seed=seed).repeat_interleave(4, 0)[:steps]
    return (still + 0.3 * noise(steps, n, dim, seed=seed + 1)).flatten(0, 1)


def plain_max_min(unit: Tensor, k: int, first: int, weight: Tensor) -> list[int]:
    unit = unit.double()
    order, nearest = [first], 1 - unit @ unit[first]
    while len(order) < k:
        worth = weight.double() * nearest
        worth[order] = -torch.inf
        order.append(int(worth.argmax()))
        nearest = torch.minimum(nearest, 1 - unit @ unit[order[-1]])
    return order


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few hundred tokens go through many blocks."""
    for name, size in (("_LOOKED_AT", 24), ("_TOGETHER", 10), ("_CANDIDATES", 5), ("_SAMPLE", 3)):
        monkeypatch.setattr(max_min, name, size)
    monkeypatch.setattr(todre, "_ROWS", 5)
    monkeypatch.setattr(todre, "_HELD", 3000)
    monkeypatch.setattr(todre, "_SMALL", 0)
    monkeypatch.setattr(sensitivity, "_AT_ONCE", 400)


@pytest.mark.parametrize("case", cases("divprune"))
def test_divprune_picks_what_the_official_one_picks(case: Case) -> None:
    x = torch.from_numpy(case.inputs["tokens"]).flatten(0, 1)
    whole = tokens(tuple(case.params["grid"]), x=x, needs=())
    k = case.params["K"]
    assert DivPrune().order(whole, k).tolist() == case.outputs["order"].tolist()
    assert compress("divprune", whole, k).host.tolist() == case.outputs["indices"].tolist()


def perceptron(case: Case) -> tuple[dict[str, Tensor], nn.Module]:
    given = {name: torch.from_numpy(value) for name, value in case.inputs.items()}
    first, second = (nn.Linear(*given[name].shape[::-1]) for name in ("w1", "w2"))
    made = nn.Sequential(first, nn.GELU(), second)
    made.load_state_dict(
        {"0.weight": given["w1"], "0.bias": given["b1"]}
        | {"2.weight": given["w2"], "2.bias": given["b2"]}
    )
    return given, made


@pytest.mark.parametrize("case", cases("zoo_prune"))
def test_zoo_prune_picks_what_the_official_one_picks(case: Case) -> None:
    given, projector = perceptron(case)
    found = sensitivity.sampled(given["features"], projector, given["directions"], case.params["h"])
    official = torch.from_numpy(case.outputs["sensitivity"])
    assert torch.allclose(found, official, rtol=2e-3)
    x = projector(given["features"]).detach()
    whole = tokens((1, 1, len(x)), x=x, needs=())
    k = case.params["K"]
    for signal in (found, official):
        whole = replace(whole, signals={"sensitivity": signal})
        assert ZooPrune().order(whole, k).tolist() == case.outputs["order"].tolist()
    assert compress("zoo-prune", whole, k).host.tolist() == case.outputs["indices"].tolist()


def ranks(values: Tensor) -> Tensor:
    return values.argsort().argsort().double()


def test_without_sampling_sensitivities_are_ordered_alike() -> None:
    given, projector = perceptron(cases("zoo_prune")[0])
    x = given["features"]
    exact = sensitivity.closed_form(x, given["w1"], given["b1"], given["w2"], gelu)
    many = sensitivity.sampled(x, projector, noise(2000, x.shape[1]))
    assert float(torch.corrcoef(torch.stack([ranks(exact), ranks(many)]))[0, 1]) > 0.98
    assert torch.allclose(exact, many, rtol=0.05)


def test_the_closed_form_is_the_mean_over_all_directions(small_blocks: None) -> None:
    x, w1, b1, w2 = (
        noise(*shape, seed=seed).double()
        for seed, shape in enumerate([(70, 6), (11, 6), (11,), (7, 11)])
    )
    found = sensitivity.closed_form(x, w1, b1, w2, gelu)
    assert found.dtype == torch.float64
    for one, value in zip(x, found, strict=True):
        jacobian = torch.func.jacrev(lambda row: linear(gelu(linear(row, w1, b1)), w2))(one)
        # The mean of |J u|^2 over the sphere is |J|^2 / d.
        assert torch.isclose(value.square(), jacobian.square().sum() / 6, rtol=1e-12)


def test_sensitivity_is_the_same_in_blocks_and_within_inference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given, projector = perceptron(cases("zoo_prune")[1])
    x, bank = given["features"], given["directions"]
    layers = (given["w1"].requires_grad_(), given["b1"], given["w2"])
    whole = sensitivity.sampled(x, projector, bank)
    closed = sensitivity.closed_form(x, *layers, gelu)
    monkeypatch.setattr(sensitivity, "_AT_ONCE", 300)
    with torch.inference_mode():
        assert torch.allclose(sensitivity.sampled(x + 0, projector, bank), whole, rtol=1e-4)
        assert torch.allclose(sensitivity.closed_form(x + 0, *layers, gelu), closed, rtol=1e-5)
    assert not closed.requires_grad


def test_a_projector_in_half_precision_is_probed_in_full() -> None:
    given, projector = perceptron(cases("zoo_prune")[0])
    half = projector.bfloat16()
    found = sensitivity.sampled(given["features"].bfloat16(), half, given["directions"])
    rounded = given["features"].bfloat16().float()
    assert next(half.parameters()).dtype == torch.bfloat16
    expected = sensitivity.sampled(rounded, projector.float(), given["directions"])
    assert torch.allclose(found, expected, rtol=1e-4)


def test_a_projector_may_make_one_token_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, bank = noise(5, 12), noise(9, 3, seed=1)
    monkeypatch.setattr(sensitivity, "_AT_ONCE", 40)
    found = sensitivity.sampled(
        noise(44, 3), lambda rows: linear(rows.view(-1, 12), weight), bank, together=4
    )
    moved = (bank / bank.norm(dim=1, keepdim=True)).repeat(1, 4) @ weight.T
    assert torch.allclose(found, moved.norm(dim=1).mean().expand(11), rtol=1e-3)


@pytest.mark.parametrize("kind", ["noise", "film"])
@pytest.mark.parametrize("weighted", [False, True])
def test_blocks_pick_as_the_plain_greedy(kind: str, weighted: bool, small_blocks: None) -> None:
    x = noise(288, 12) if kind == "noise" else film(16, 18, 12)
    unit, _ = unit_rows(x)
    weight = torch.rand(288, generator=torch.Generator().manual_seed(3)) if weighted else None
    for k in (1, 2, 30, 287):
        made = max_min.max_min(unit, k, 7, weight)
        assert made.tolist() == plain_max_min(
            unit, k, 7, torch.ones(288) if weight is None else weight
        )


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 150), seed=st.integers(0, 99), steps=st.lists(st.integers(0, 200)))
def test_the_most_isolated_token_is_found_by_bounds(n: int, seed: int, steps: list[int]) -> None:
    unit, _ = unit_rows(noise(n, 5, seed=seed))
    apart = (1 - unit @ unit.T).fill_diagonal_(torch.inf)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(max_min, "_CANDIDATES", 4)
        patch.setattr(max_min, "_SAMPLE", 3)
        found = max_min.most_isolated(unit, steps)
    nearest = apart.min(1).values
    assert float(nearest[found]) >= float(nearest.max()) - 1e-6


def test_few_tokens_are_looked_at_for_the_first_pick(monkeypatch: pytest.MonkeyPatch) -> None:
    unit, _ = unit_rows(film(40, 50, 32))
    looked: list[int] = []
    monkeypatch.setattr(max_min, "_CANDIDATES", 20)
    matmul = Tensor.__matmul__

    def counted(one: Tensor, other: Tensor) -> Tensor:
        looked.append(len(one))
        return matmul(one, other)

    monkeypatch.setattr(Tensor, "__matmul__", counted)
    found = max_min.most_isolated(unit, (1, 50))
    assert sum(looked) < len(unit) / 5
    monkeypatch.undo()
    apart = (1 - unit @ unit.T).fill_diagonal_(torch.inf)
    assert found == int(apart.min(1).values.argmax())


@pytest.mark.parametrize("name", ["divprune", "todre(rule=k-center)", "zoo-prune(weight=norm)"])
def test_each_of_ten_vectors_is_kept_before_one_comes_twice(name: str) -> None:
    """The released DivPrune keeps 20 tokens of which 10 are the same token again."""
    lengths = torch.linspace(1, 2, 10)[:, None]
    x = (unit_rows(noise(10, 16))[0] * lengths)[torch.arange(80) % 10]
    whole = tokens((5, 4, 4), x=x, needs=())
    kept = compress(name, whole, 10).host
    # The shortest has no weight in ZOO-Prune: its share is 0, as published.
    assert len(set((kept % 10).tolist())) >= 9 + ("zoo" not in name)
    many = compress(name, whole, 20)
    holds(many, whole, 20)
    assert set(kept.tolist()) <= set(many.host.tolist())
    # Those that follow are at even distances.
    assert bool((torch.histc(many.host.float(), 4, 0, 80) >= 2).all())


@pytest.mark.parametrize("name", ["divprune", "todre", "todre(rule=k-center)", "zoo-prune"])
def test_tokens_of_zeros_come_last(name: str) -> None:
    x = noise(60, 8)
    x[::3] = 0
    whole = tokens((3, 4, 5), x=x, needs=("sensitivity",))
    for k in (1, 12, 40):
        assert not bool((compress(name, whole, k).host % 3 == 0).any())
    assert compress(name, whole, 43).host.remainder(3).eq(0).sum() == 3


def test_a_token_without_weight_is_not_picked_before_others() -> None:
    whole = tokens((1, 6, 6), dim=8, needs=("sensitivity",))
    worth = torch.linspace(0, 1, 36)
    whole = replace(whole, signals={"sensitivity": worth})
    order = ZooPrune().order(whole, 36)
    assert int(order[0]) == 35
    assert int(order[-1]) == 0
    # All alike is as if they did not count; the first starts.
    level = replace(whole, signals={"sensitivity": torch.full((36,), 3.0)})
    unit, _ = unit_rows(whole.x)
    assert torch.equal(ZooPrune().order(level, 20), max_min.max_min(unit, 20, 0))


def test_the_norm_stands_for_the_sensitivity_and_needs_nothing() -> None:
    whole = tokens((2, 5, 5), dim=8, needs=())
    assert compose("zoo-prune(weight=norm)").needs == frozenset()
    assert compose("zoo-prune").needs == {"sensitivity"}
    signal = replace(whole, signals={"sensitivity": whole.x.norm(dim=1)})
    norm = compress("zoo-prune(weight=norm)", whole, 12)
    assert torch.equal(norm.host, compress("zoo-prune", signal, 12).host)


@pytest.mark.parametrize("small", [0, 2**23])
def test_max_sum_picks_as_with_all_likenesses(
    small_blocks: None, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr(todre, "_SMALL", small)
    for x in (noise(288, 12), film(16, 18, 12), 1 + 0.1 * noise(288, 12)):
        unit, nothing = unit_rows(x)
        likeness = unit.double() @ unit.double().T
        order = [5]
        while len(order) < 287:
            total = likeness[order].sum(0)
            total[order] = torch.inf
            order.append(int(total.argmin()))
        for k in (1, 40, 287):
            assert todre.max_sum(unit, k, 5, nothing).tolist() == order[:k]


@pytest.mark.parametrize("small", [0, 2**23])
def test_max_sum_goes_on_where_many_are_alike(
    small_blocks: None, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr(todre, "_SMALL", small)
    kinds = torch.arange(288) // 2 % 3
    unit, nothing = unit_rows(noise(3, 4)[kinds])
    order = todre.max_sum(unit, 40, 0, nothing)
    assert len(set(order.tolist())) == 40
    alike, chosen = unit.double() @ unit.double().T, order[:1]
    for pick in order[1:]:
        total = alike[chosen].sum(0)
        total[chosen] = torch.inf
        assert float(total[pick]) <= float(total.min()) + 1e-5
        chosen = torch.cat([chosen, pick[None]])


def test_max_sum_takes_extremes_twice_where_k_center_covers() -> None:
    """Two tight groups far apart, and one token in the middle between them."""
    ends = torch.tensor([[1.0, 0.2, 0], [1, 0.21, 0.1], [-1, 0.2, 0], [-1, 0.21, 0.1], [0, 1, 0]])
    whole = tokens((1, 1, 5), x=ends, needs=("attention:-2",))
    whole = replace(whole, signals={"attention:-2": torch.tensor([1.0, 0, 0, 0, 0])})
    sums = ToDRE(seed_by="attention").order(whole, 4)
    center = ToDRE("k-center", "attention").order(whole, 3)
    assert sorted(sums.tolist()) == [0, 1, 2, 3]
    assert 4 in center.tolist()
    assert int(sums[0]) == int(center[0]) == 0


def test_todre_starts_at_the_token_least_like_the_mean_and_needs_nothing() -> None:
    whole = tokens((2, 4, 4), x=1 + 0.3 * noise(32, 6), needs=())
    unit, _ = unit_rows(whole.x)
    assert int(ToDRE().order(whole, 3)[0]) == int((unit @ unit.mean(0)).argmin())
    assert compose("todre").needs == frozenset()
    assert compose("todre(seed_by=attention)").needs == {"attention:-2"}


@pytest.mark.parametrize("name", NAMES)
def test_the_plain_procedures_keep_the_same(name: str) -> None:
    x = film(6, 30, 24)
    whole: VisualTokens = tokens((6, 5, 6), x=x, needs=("sensitivity",))
    for k in (9, 60):
        kept = PLAIN[name](whole, k)
        assert isinstance(kept, Tensor)
        assert torch.equal(compress(name, whole, k).host, kept)


SPECS = [*NAMES, "zoo-prune(weight=norm)", "todre(rule=k-center)", "todre(seed_by=attention)"]


@pytest.mark.parametrize("spec", SPECS)
def test_any_tokens_become_as_many_as_are_asked_for(spec: str) -> None:
    for grid in ((1, 1, 2), (1, 5, 5), (7, 1, 1), (4, 3, 5)):
        n = grid[0] * grid[1] * grid[2]
        for x in (noise(n, 3), torch.ones(n, 3), torch.zeros(n, 3), noise(2, 3).repeat(n, 1)[:n]):
            whole = tokens(grid, x=x)
            for k in {1, 2, n // 2, n - 1}:
                if 1 <= k < n:
                    holds(compress(spec, whole, k), whole, k)
    ragged = tokens((4, 3, 5)).take(torch.tensor([0, 1, 2, 20, 50, 51, 52, 53, 59]))
    for k in range(1, 9):
        holds(compress(spec, ragged, k), ragged, k)


@pytest.mark.parametrize("spec", ["divprune", "todre", "zoo-prune"])
def test_what_nothing_tells_apart_is_kept_at_even_distances(spec: str) -> None:
    whole = tokens((8, 4, 4), x=torch.ones(128, 3), needs=())
    whole = replace(whole, signals={"sensitivity": torch.ones(128)})
    kept = compress(spec, whole, 16).host
    assert bool((torch.histc(kept.float(), 4, 0, 128) >= 3).all())


@pytest.mark.parametrize(
    "spec", ["todre(rule=max)", "todre(seed_by=cls)", "zoo-prune(weight=1)", "divprune(k=3)"]
)
def test_parameters_that_mean_nothing_are_told(spec: str) -> None:
    with pytest.raises(ConfigError, match="does not take that"):
        compose(spec)
