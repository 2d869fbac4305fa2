"""The map from many visual tokens to few, the registry of compressors, and the first of them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from compress_kit import EXACT, EXTRAS, grids, holds, tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from videopipe.compress import TokenMap, VisualTokens, compress, method, methods, registry
from videopipe.compress.quota import QuotaTokens
from videopipe.errors import ConfigError
from videopipe.registry import Registry

ORACLE = np.load(Path(__file__).parent / "oracles" / "m3.npz")


@st.composite
def maps(draw: st.DrawFn, tokens_in: int, rows: int) -> TokenMap:
    """Any map: each row has its host for an entry and a few more."""
    host = sorted(
        draw(
            st.lists(
                st.integers(0, tokens_in - 1),
                min_size=min(rows, tokens_in),
                max_size=min(rows, tokens_in),
                unique=True,
            )
        )
    )
    k = len(host)
    more = draw(
        st.lists(st.tuples(st.integers(0, tokens_in - 1), st.integers(0, k - 1)), max_size=12)
    )
    entries = sorted({*zip(host, range(k), strict=True), *more})
    weight = draw(
        st.lists(
            st.floats(-2, 2, width=32).filter(lambda w: w == 0 or abs(w) > 1e-3),
            min_size=len(entries),
            max_size=len(entries),
        )
    )
    return TokenMap(
        torch.tensor([src for src, _ in entries]),
        torch.tensor([dst for _, dst in entries]),
        torch.tensor(weight),
        torch.arange(float(k))[:, None, None].expand(-1, 1, 3),
        torch.tensor(host),
        tokens_in,
    )


def parts(**changed: Tensor | int) -> dict[str, Tensor | int]:
    """A correct map of four tokens to two, with some part changed."""
    return {
        "src": torch.tensor([0, 1, 3]),
        "dst": torch.tensor([0, 0, 1]),
        "weight": torch.tensor([0.5, 0.5, 1.0]),
        "pos": torch.tensor([[[0.0, 0, 0]], [[1.0, 0, 0]]]),
        "host": torch.tensor([0, 3]),
        "tokens_in": 4,
    } | changed


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"weight": torch.ones(2)}, "differ in length"),
        ({"pos": torch.zeros(3, 1, 3)}, "differ in length"),
        ({"dst": torch.tensor([0, 0, 0])}, "no entry"),
        ({"dst": torch.tensor([0, 1, 2])}, "no entry"),
        ({"src": torch.tensor([0, 1, 4])}, "not there"),
        ({"src": torch.tensor([-1, 1, 3])}, "not there"),
        ({"host": torch.tensor([3, 0])}, "ascending"),
        ({"host": torch.tensor([3, 3])}, "ascending"),
        ({"host": torch.tensor([0, 4])}, "not there"),
        ({"host": torch.tensor([-1, 3])}, "not there"),
        ({"weight": torch.tensor([0.5, float("nan"), 1.0])}, "finite"),
        ({"weight": torch.tensor([0.5, float("inf"), 1.0])}, "finite"),
        ({"pos": torch.tensor([[[1.0, 0, 0]], [[0.0, 0, 0]]])}, "back in time"),
    ],
)
def test_what_is_not_a_map_is_refused(changed: dict[str, Tensor], says: str) -> None:
    assert len(TokenMap(**parts())) == 2  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"not a token map: .*{says}"):
        TokenMap(**parts(**changed))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n=st.integers(1, 12), rows=st.integers(1, 8))
def test_to_apply_a_map_is_to_multiply_by_its_matrix(
    data: st.DataObject, n: int, rows: int
) -> None:
    made = data.draw(maps(n, rows))
    x = torch.randn(n, 2, 5, generator=torch.Generator().manual_seed(n))
    wanted = torch.einsum("kn,nab->kab", made.to_dense(), x)
    assert torch.allclose(made.apply(x), wanted, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n=st.integers(1, 12))
def test_one_map_after_another_is_the_product_of_their_matrices(
    data: st.DataObject, n: int
) -> None:
    first = data.draw(maps(n, 7))
    second = data.draw(maps(len(first), 5))
    both = first.then(second)
    assert torch.allclose(both.to_dense(), second.to_dense() @ first.to_dense(), atol=1e-5)
    assert both.tokens_in == n
    assert torch.equal(both.host, first.host[second.host])
    assert torch.equal(both.pos, second.pos)


def test_maps_that_do_not_fit_are_not_put_in_a_row() -> None:
    whole = tokens((1, 2, 3))
    first = compress("uniform", whole, 4)
    with pytest.raises(ValueError, match="cannot follow"):
        first.then(compress("uniform", whole, 2))


def test_a_map_is_for_its_number_of_tokens() -> None:
    with pytest.raises(ValueError, match="map of 4 tokens was given 5"):
        TokenMap(**parts()).apply(torch.zeros(5, 2))  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_sums_are_taken_in_float32_and_come_back_in_the_type_of_the_tokens(
    dtype: torch.dtype,
) -> None:
    """In bfloat16, 256 + 1 is 256: a sum token by token would stay there."""
    n = 513
    mean = TokenMap(
        torch.arange(n),
        torch.zeros(n, dtype=torch.int64),
        torch.ones(n),
        torch.zeros(1, 1, 3),
        torch.tensor([0]),
        n,
    )
    summed = mean.apply(torch.ones(n, 1, dtype=dtype))
    assert summed.dtype == dtype
    assert summed.item() == torch.tensor(513.0).to(dtype).item()


def test_pruning_gives_the_very_tokens() -> None:
    whole = tokens((2, 3, 4))
    rows = torch.tensor([0, 5, 6, 23])
    kept = TokenMap.keep(rows, whole.pos)
    assert kept.is_pruning
    assert torch.equal(kept.apply(whole.x.bfloat16()), whole.x.bfloat16()[rows])
    assert torch.equal(kept.pos[:, 0], whole.pos[rows])
    shuffled = TokenMap(
        kept.src.flip(0), kept.dst.flip(0), kept.weight, kept.pos, kept.host, len(whole)
    )
    assert torch.equal(shuffled.apply(whole.x), whole.x[rows])


def test_merging_and_scaling_are_no_pruning() -> None:
    assert not TokenMap(**parts()).is_pruning  # type: ignore[arg-type]
    scaled = parts(
        src=torch.tensor([0, 3]), dst=torch.tensor([0, 1]), weight=torch.tensor([1.0, 0.5])
    )
    assert not TokenMap(**scaled).is_pruning  # type: ignore[arg-type]


def test_a_map_follows_the_features_to_their_device() -> None:
    """The meta device stands for any other: an operation across devices would raise."""
    whole = tokens((2, 2, 3))
    for made in [compress(name, whole, 4) for name in EXACT]:
        out = made.apply(torch.empty(12, 8, device="meta", dtype=torch.bfloat16))
        assert (out.shape, out.device.type, out.dtype) == ((4, 8), "meta", torch.bfloat16)


def test_parts_of_tokens_that_do_not_fit_are_refused() -> None:
    good = tokens((2, 2, 2))
    assert len(good) == 8
    for wrong in (
        {"pos": good.pos[:-1]},
        {"times": torch.zeros(3)},
        {"levels": (good.x[:3],)},
        {"signals": {"recv:-1": torch.zeros(7)}},
    ):
        whole = {"x": good.x, "pos": good.pos, "grid": good.grid, "times": good.times} | wrong
        with pytest.raises(ValueError, match="do not fit"):
            VisualTokens(**whole)  # type: ignore[arg-type]


def test_what_hangs_on_tokens_is_taken_along() -> None:
    whole = tokens((2, 2, 2), "class")
    whole = VisualTokens(
        whole.x, whole.pos, whole.grid, whole.times, (whole.x * 2,), {"key:0": whole.x * 3}
    )
    some = whole.take(whole.placed)
    assert len(some) == 8
    assert bool(some.placed.all())
    assert torch.equal(some.levels[0], some.x * 2)
    assert torch.equal(some.signals["key:0"], some.x * 3)


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=12, deadline=None)
@given(grid=grids, data=st.data())
def test_the_number_of_rows_is_exact(
    name: str, extra: str, grid: tuple[int, int, int], data: st.DataObject
) -> None:
    whole = tokens(grid, extra)
    k = data.draw(st.integers(1, len(whole) + 2))
    made = compress(name, whole, k)
    holds(made, whole, min(k, len(whole)))
    if name == "uniform":
        assert made.is_pruning
    others = ~whole.placed
    if others.any() and k < len(whole):
        kept = made.to_dense()[:, others]
        if int(others.sum()) <= k // 4:
            assert torch.equal(kept.sum(0), torch.ones(int(others.sum())))
            assert torch.isin(others.nonzero().squeeze(1), made.host).all()
        else:  # those of the grid come first
            assert int(kept.sum()) == max(0, k - int(whole.placed.sum()))


@pytest.mark.parametrize("name", EXACT)
def test_class_tokens_fill_up_what_the_grid_leaves(name: str) -> None:
    """Four of eight tokens are class tokens, more than a quarter of any number."""
    whole = tokens((4, 1, 1), "class")
    for k, hosts in ((4, [1, 3, 5, 7]), (5, [0, 1, 3, 5, 7]), (7, [0, 1, 2, 3, 4, 5, 7])):
        made = compress(name, whole, k)
        assert made.is_pruning
        assert made.host.tolist() == hosts


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_number_of_rows_of_one_grid_is_exact(extra: str) -> None:
    whole = tokens((2, 3, 4), extra)
    for name in EXACT:
        for k in range(1, len(whole) + 1):
            holds(compress(name, whole, k), whole, k)


@pytest.mark.parametrize("name", sorted(methods()))
def test_enough_room_keeps_every_token(name: str) -> None:
    whole = tokens((2, 3, 3), "newline")
    for k in (len(whole), len(whole) + 1, 10**6):
        made = compress(name, whole, k)
        assert made.is_pruning
        assert torch.equal(made.apply(whole.x), whole.x)


def test_pool_uses_each_token_of_the_grid_once() -> None:
    whole = tokens((5, 6, 7))
    for k in (1, 3, 5, 17, 64, 209):
        dense = compress("pool", whole, k).to_dense()
        assert torch.equal((dense > 0).sum(0), torch.ones(len(whole), dtype=torch.int64))


@settings(max_examples=40, deadline=None)
@given(
    steps=st.integers(1, 4),
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    down=st.integers(1, 3),
    across=st.integers(1, 3),
)
def test_pool_is_adaptive_pooling_where_cells_are_of_one_size(
    steps: int, height: int, width: int, down: int, across: int
) -> None:
    whole = tokens((steps, height * down, width * across))
    made = compress("pool", whole, steps * height * width, rows=height)
    frames = whole.x.view(steps, height * down, width * across, 3).permute(0, 3, 1, 2)
    wanted = functional.adaptive_avg_pool2d(frames, (height, width)).permute(0, 2, 3, 1)
    assert torch.allclose(made.apply(whole.x), wanted.reshape(-1, 3), atol=1e-6)


@pytest.mark.parametrize(
    ("grid", "to"), [((2, 8, 8), (4, 4)), ((3, 6, 12), (3, 6)), ((1, 12, 8), (3, 2))]
)
def test_pool_finds_the_shape_of_the_frame_by_itself(
    grid: tuple[int, int, int], to: tuple[int, int]
) -> None:
    whole = tokens(grid)
    k = grid[0] * to[0] * to[1]
    made = compress("pool", whole, k)
    asked = compress("pool", whole, k, rows=to[0])
    assert torch.allclose(made.to_dense(), asked.to_dense())


@settings(max_examples=60, deadline=None)
@given(grid=grids, data=st.data())
def test_pool_to_a_given_grid_averages_bands_as_equal_as_can_be(
    grid: tuple[int, int, int], data: st.DataObject
) -> None:
    """Cell ``i`` of ``n`` along a side of ``m`` tokens is ``[i m / n, (i + 1) m / n)``, floored."""
    steps, high, wide = grid
    height, width = data.draw(st.integers(1, high)), data.draw(st.integers(1, wide))
    whole = tokens(grid)
    k = steps * height * width
    made = compress("pool", whole, k, rows=height)
    frames = whole.x.view(*grid, 3)
    wanted = [
        frames[
            step,
            row * high // height : (row + 1) * high // height,
            column * wide // width : (column + 1) * wide // width,
        ].mean((0, 1))
        for step in range(steps)
        for row in range(height)
        for column in range(width)
    ]
    order = made.pos[:, 0].tolist()
    by_place = {tuple(at): row for at, row in zip(order, made.apply(whole.x), strict=True)}
    for at, mean in zip(sorted(by_place), wanted, strict=True):
        assert torch.allclose(by_place[at], mean, atol=1e-5)


def test_rows_are_as_many_as_there_are_tokens_and_places_for() -> None:
    whole = tokens((2, 3, 4))
    for rows, k, bands in ((99, 12, 3), (3, 4, 2), (1, 20, 3)):
        made = compress("pool", whole, k, rows=rows)
        assert len(made) == k
        first = made.pos[made.pos[:, 0, 0] == 0, 0, 1]
        assert len(first.unique()) == bands


def test_fewer_tokens_than_frames_average_neighbouring_frames() -> None:
    whole = tokens((7, 2, 3))
    made = compress("pool", whole, 3)
    frames = whole.x.view(7, 6, 3).mean(1)
    wanted = torch.stack([frames[0:2].mean(0), frames[2:4].mean(0), frames[4:7].mean(0)])
    assert torch.allclose(made.apply(whole.x), wanted, atol=1e-6)
    assert made.pos[:, 0].tolist() == [[0.5, 0.5, 1.0], [2.5, 0.5, 1.0], [5.0, 0.5, 1.0]]


def test_a_row_of_pool_stands_at_the_mean_and_is_hosted_by_the_nearest() -> None:
    whole = tokens((1, 3, 9))
    made = compress("pool", whole, 3, rows=1)
    assert made.pos[:, 0].tolist() == [[0, 1, 1], [0, 1, 4], [0, 1, 7]]
    assert whole.pos[made.host].tolist() == [[0, 1, 1], [0, 1, 4], [0, 1, 7]]
    between = compress("pool", tokens((2, 2, 5)), 1)  # of several as near, the first
    assert between.pos[0, 0].tolist() == [0.5, 0.5, 2]
    assert between.host.tolist() == [2]


def test_pool_of_long_clips_keeps_its_rows_in_order_of_time() -> None:
    """Sums of many positions are beyond what float32 counts in whole numbers."""
    whole = tokens((3000, 12, 14), dim=1)
    made = compress("pool", whole, 2)
    assert made.pos[:, 0, 0].tolist() == [749.5, 2249.5]


@pytest.mark.parametrize("case", [0, 1, 2])
def test_pool_is_the_pooling_of_m3(case: int) -> None:
    given_, wanted = ORACLE[f"case{case}/in/tokens"], ORACLE[f"case{case}/out/tokens"]
    steps, n, dim = given_.shape
    side = round(n**0.5)
    whole = tokens((steps, side, side))
    made = compress("pool", whole, steps * wanted.shape[1])
    pooled = made.apply(torch.from_numpy(given_).reshape(-1, dim))
    assert np.allclose(pooled.numpy(), wanted.reshape(-1, dim), atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 400), data=st.data())
def test_uniform_takes_the_middles_of_equal_stretches(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n - 1))
    kept = compress("uniform", tokens((1, 1, n)), k).host
    gaps = kept.diff()
    if k > 1:
        assert int(gaps.max()) - int(gaps.min()) <= 1
    # As far from the start as from the end, up to rounding.
    assert abs(int(kept[0]) - (n - 1 - int(kept[-1]))) <= 1
    for at, row in enumerate(kept.tolist()):
        assert at * n <= row * k + k
        assert row * k < (at + 1) * n


def test_none_refuses_to_compress() -> None:
    whole = tokens((1, 2, 2))
    assert len(compress("none", whole, 4)) == 4
    with pytest.raises(ConfigError, match="4 visual tokens do not fit into 3 without a compressor"):
        compress("none", whole, 3)


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(
        ConfigError, match=f"no compressor 'poool'; there are {', '.join(methods())}."
    ):
        compress("poool", tokens((1, 2, 2)), 2)
    assert method("pool").__name__ == "GridPool"
    assert method("quota") is QuotaTokens


@pytest.mark.parametrize("params", [{"heigth": 2}, {"kind": "max"}])
def test_unknown_parameters_are_told(params: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="compressor 'pool' does not take that"):
        compress("pool", tokens((1, 2, 2)), 2, **params)
    with pytest.raises(ConfigError, match="compressor 'uniform' does not take that"):
        compress("uniform", tokens((1, 2, 2)), 2, **params)


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"rows": -1}, {"rows": 2.5}])
def test_a_grid_without_cells_is_told(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="pool' does not take that"):
        compress("pool", tokens((1, 4, 4)), 4, **wrong)


@pytest.mark.parametrize("k", [0, -3])
def test_at_least_one_token_is_kept(k: int) -> None:
    with pytest.raises(ValueError, match=f"at least one token is kept; got k={k}"):
        compress("pool", tokens((1, 2, 2)), k)


def test_a_method_gets_the_signals_it_needs_or_says_which(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Strongest:
        needs: ClassVar[frozenset[str]] = frozenset({"recv:-1"})
        kind: ClassVar[registry.Kind] = "prune"
        whole: ClassVar[bool] = False
        exact: ClassVar[str] = "top k"
        paper: ClassVar[str] = ""

        def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
            assert bool(tokens.placed.all())
            rows = tokens.signals["recv:-1"].topk(k).indices.sort().values
            return TokenMap.keep(rows, tokens.pos)

    fresh: Registry[type[registry.Compressor]] = Registry("compressor")
    fresh.register("strongest")(Strongest)
    monkeypatch.setattr(registry, "_METHODS", fresh)
    whole = tokens((2, 2, 2), "class", needs=())
    with pytest.raises(
        ValueError, match=r"strongest needs 'recv:-1' .*every vision tower gives it"
    ):
        compress("strongest", whole, 4)
    signal = torch.arange(10.0).flip(0)
    whole = VisualTokens(whole.x, whole.pos, whole.grid, whole.times, signals={"recv:-1": signal})
    made = compress("strongest", whole, 4)  # class tokens would be half of it: they go
    assert made.host.tolist() == [1, 2, 3, 4]
    with pytest.raises(ConfigError, match="strongest' does not take that"):
        compress("strongest", whole, 4, layer=3)
