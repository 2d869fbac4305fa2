"""Compressors of the grid: official pooling, and what each is beyond it."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from compress_kit import holds, tokens
from oracle import Case, cases
from scipy import fft
from torch import Tensor
from torch.nn import functional

from videopipe.compress import TokenMap, VisualTokens, compress, method
from videopipe.compress.fourier import Fourier
from videopipe.compress.pool import GridPool, scales
from videopipe.compress.ppllava import PPLLaVA, softmax
from videopipe.compress.progressive import Giraffe, Progressive
from videopipe.compress.resample import grid_sampling, lowpass, rows_for
from videopipe.errors import ConfigError

sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))
from _compress_plain_grid import PLAIN

NAMES = sorted(PLAIN)
GRIDS = [(1, 1, 7), (5, 1, 1), (1, 6, 6), (4, 5, 9), (9, 3, 2), (3, 12, 7)]


def case_tokens(case: Case) -> VisualTokens:
    x = torch.from_numpy(case.inputs["tokens"]).flatten(0, 1)
    return tokens(tuple(case.params["grid"]), x=x, needs=())


def per_frame(made: TokenMap, steps: int) -> list[int]:
    return torch.bincount(made.pos[:, 0, 0].long(), minlength=steps).tolist()


def by_question(whole: VisualTokens, question: Tensor) -> VisualTokens:
    return replace(whole, signals={"question": question})


def windows_in_order(made: TokenMap) -> Tensor:
    """Rows in the order of their first tokens: hosts may be anywhere in a window."""
    first = torch.full((len(made),), made.tokens_in)
    return first.scatter_reduce(0, made.dst, made.src, "amin").argsort()


# What official code makes


@pytest.mark.parametrize("case", cases("m3"))
@pytest.mark.parametrize("name", ["m3", "pool"])
def test_scales_are_those_of_m3(name: str, case: Case) -> None:
    whole, wanted = case_tokens(case), case.outputs["tokens"]
    made = compress(name, whole, wanted.shape[0] * wanted.shape[1])
    assert np.allclose(made.apply(whole.x), wanted.reshape(len(made), -1), atol=1e-5)


@pytest.mark.parametrize("case", cases("fourier"))
def test_frequencies_are_those_of_fourier_vlm_but_for_the_scale(case: Case) -> None:
    whole, (rows, columns) = case_tokens(case), case.params["reserve"]
    steps, high, wide = whole.grid
    made = Fourier(rows)(whole, steps * rows * columns)
    wanted = case.outputs["tokens"].reshape(len(made), -1)
    scale = np.sqrt(high * wide / (rows * columns))
    assert np.allclose(made.apply(whole.x) * scale, wanted, rtol=1e-4, atol=1e-4)
    found = compress("fourier", whole, len(made))  # the shape follows from the number
    assert torch.equal(found.to_dense(), made.to_dense())


def windows(size: int, kernel: int, stride: int) -> Tensor:
    """Bool ``[n, size]``: the places of each window along an axis."""
    first = torch.arange((size - kernel) // stride + 1)[:, None] * stride
    place = torch.arange(size)
    return (place >= first) & (place < first + kernel)


@pytest.mark.parametrize("case", cases("ppllava"))
def test_windows_are_weighted_as_by_ppllava(case: Case) -> None:
    grid, kernel, stride = (case.params[key] for key in ("grid", "kernel", "stride"))
    if out := case.params["output_size"]:
        stride = [n // parts for n, parts in zip(grid, out, strict=True)]
        kernel = [n - (parts - 1) * step for n, parts, step in zip(grid, out, stride, strict=True)]
    axes = [windows(*axis) for axis in zip(grid, kernel, stride, strict=True)]
    inside = torch.einsum("ax,by,cz->abcxyz", *(axis.double() for axis in axes))
    rows = inside.shape[0] * inside.shape[1] * inside.shape[2]
    row, place = inside.reshape(rows, -1).nonzero(as_tuple=True)
    whole, chance = case_tokens(case), torch.from_numpy(case.inputs["weights"])
    weight = softmax(chance[place] / case.params["temperature"], row, rows)
    ours = torch.zeros(rows, whole.x.shape[1])
    ours.index_add_(0, row, whole.x[place] * weight[:, None])
    assert np.allclose(ours, case.outputs["tokens"].reshape(rows, -1), atol=1e-5)


@pytest.mark.parametrize("case", cases("ppllava")[:2])
def test_windows_that_fill_the_grid_come_of_the_number_alone(case: Case) -> None:
    """``question`` is such that its softmax over the video is what the official one was given."""
    whole, wanted = case_tokens(case), case.outputs["tokens"]
    question = torch.from_numpy(case.inputs["weights"]).log()
    params = {"frames": case.params["kernel"][0], "temperature": case.params["temperature"]}
    made = PPLLaVA("video", scale=1.0, **params)(by_question(whole, question), wanted[..., 0].size)
    ours = made.apply(whole.x)[windows_in_order(made)]
    assert np.allclose(ours, wanted.reshape(len(made), -1), atol=1e-5)


# What all keep


@pytest.mark.parametrize("name", ["pool", *NAMES])
@pytest.mark.parametrize("grid", GRIDS)
def test_every_number_of_rows_is_exact(name: str, grid: tuple[int, int, int]) -> None:
    n = grid[0] * grid[1] * grid[2]
    noise, needs = torch.randn(n, 3, generator=torch.Generator().manual_seed(1)), ("question",)
    for kind, x in {
        "noise": noise,
        "constant": torch.ones(n, 3),
        "zero": torch.zeros(n, 3),
        "twice": noise[torch.arange(n) // 2],
    }.items():
        whole = tokens(grid, x=x, needs=needs)
        every = range(1, n) if kind == "noise" else {1, 2, n // 3, n // 2, n - 1} & {*range(1, n)}
        for k in every:
            made = compress(name, whole, k)
            holds(made, whole, k)
            if kind == "constant":
                assert torch.allclose(made.apply(x), x[:k], atol=1e-5)
            elif kind == "zero":
                assert not made.apply(x).any()


def test_lines_go_on_where_another_left_off() -> None:
    whole = tokens((5, 4, 3), needs=())
    some = whole.take((torch.arange(60) * 7 % 5 > 1).nonzero().squeeze(1))
    for k in (1, 2, 5, 17, 35):
        holds(compress("llavolta", some, k), some, k)
    with pytest.raises(ValueError, match="m3 needs whole frames"):
        compress("m3", some, 5)


@pytest.mark.parametrize("name", ["tokenflex", "fourier", "progressive", "giraffe", "m3"])
def test_fewer_rows_than_frames_average_neighbouring_frames(name: str) -> None:
    whole = tokens((7, 2, 3), needs=())
    made = compress(name, whole, 3)
    frames = whole.x.view(7, 6, 3).mean(1)
    wanted = torch.stack([frames[0:2].mean(0), frames[2:4].mean(0), frames[4:7].mean(0)])
    assert torch.allclose(made.apply(whole.x), wanted, atol=1e-6)
    assert made.pos[:, 0, 0].tolist() == [0.5, 2.5, 5.0]


@pytest.mark.parametrize("name", NAMES)
def test_a_plain_reading_gives_the_same_where_it_is_exact(name: str) -> None:
    """Frames of 8 x 8 to 4 x 4, or, of four frames, one finer; ours differ by what they mend."""
    whole = tokens((8, 8, 8), dim=5, needs=("question",))
    groups = {"giraffe": 2 * (48 + 3 * 16), "progressive": 2 * (64 + 3 * 4), "ppllava": 64}
    k = groups.get(name, 128)
    made = compress(name, whole, k, **({"form": "video"} if name == "ppllava" else {}))
    ours, plain = made.apply(whole.x), PLAIN[name](whole, k)
    match name:
        case "fourier":
            ours = ours * 2  # the official scale
        case "giraffe":  # 48 are no square: those of the other frames
            ours, plain = ours[48:96], plain[36:84]
        case "llavolta":
            plain = plain[0]
        case "ppllava":
            ours = ours[windows_in_order(made)]
    assert torch.allclose(ours, plain, atol=1e-5)


# m3


def test_scales_are_nested_down_to_one() -> None:
    assert [*scales(24, 24)] == [1, 9, 36, 144, 576]
    assert [*scales(16, 16)] == [1, 4, 16, 64, 256]
    assert [*scales(10, 14)] == [1, 2, 12, 35, 140]
    for high, wide in [(24, 24), (27, 27), (1, 13), (10, 14), (7, 36)]:
        cells = list(scales(high, wide).items())
        assert cells[-1][0] == high * wide
        for (few, coarse), (_, fine) in pairwise(cells):
            assert torch.unique(coarse).tolist() == list(range(few))
            pairs = torch.stack([fine.flatten(), coarse.flatten()], 1)
            assert len(torch.unique(pairs, dim=0)) == int(fine.max()) + 1  # one parent each


def test_frames_that_lose_most_get_the_next_scale() -> None:
    """Frames 1 and 4 have detail within the cells of 2 x 2, frame 1 the stronger."""
    steps, side = 6, 8
    checks = (torch.arange(side)[:, None] + torch.arange(side)) % 2 * 2.0 - 1
    x = torch.zeros(steps, side, side, 2)
    x[1, ..., 0], x[4, ..., 0] = 2 * checks, checks
    x += torch.arange(6.0)[:, None, None, None]  # how bright a frame is matters to none
    whole = tokens((steps, side, side), x=x.view(-1, 2), needs=())

    def sizes(k: int) -> list[int]:
        return per_frame(compress("m3", whole, k), steps)

    assert sizes(6 * 16) == [16] * 6
    assert sizes(6 * 16 + 48) == [16, 64, 16, 16, 16, 16]
    assert sizes(6 * 16 + 48 + 20) == [16, 64, 16, 16, 36, 16]
    assert sizes(6 * 16 + 96) == [16, 64, 16, 16, 64, 16]
    assert sizes(6 * 16 + 96 + 5) == [21, 64, 16, 16, 64, 16]  # nothing to gain: the first
    kept = compress("m3", whole, 6 * 16 + 48)
    assert torch.allclose(kept.apply(whole.x)[16:80], whole.x[64:128])


def test_what_a_finer_scale_gains_is_what_it_saves_of_the_error() -> None:
    whole = tokens((9, 6, 6), dim=4, needs=())

    def error(n: int) -> Tensor:
        dense = compress("pool", whole, 9 * n).to_dense()
        return (whole.x - (dense > 0).float().T @ (dense @ whole.x)).square().view(9, -1).sum(1)

    order = (error(1) - error(9)).argsort(descending=True)
    for better in (1, 4, 8):
        sizes = torch.tensor(per_frame(compress("m3", whole, 9 + 8 * better), 9))
        assert sorted(order[:better].tolist()) == (sizes == 9).nonzero().flatten().tolist()


# tokenflex


@pytest.mark.parametrize(
    ("grid", "to"), [((2, 27, 27), (8, 8)), ((3, 9, 9), (4, 4)), ((2, 8, 14), (3, 5))]
)
def test_adaptive_windows_are_those_of_torch(
    grid: tuple[int, int, int], to: tuple[int, int]
) -> None:
    whole = tokens(grid, needs=())
    frames = whole.x.view(*grid, 3).permute(0, 3, 1, 2)
    wanted = functional.adaptive_avg_pool2d(frames, to).permute(0, 2, 3, 1).reshape(-1, 3)
    made = compress("tokenflex", whole, len(wanted), rows=to[0])
    assert torch.allclose(made.apply(whole.x), wanted, atol=1e-6)
    used = (made.to_dense() > 0).sum(0)
    assert int(used.min()) == 1
    assert int(used.max()) > 1  # some are in several windows
    if to[0] == to[1]:
        alone = compress("tokenflex", whole, len(wanted))
        assert torch.equal(alone.to_dense(), made.to_dense())
    places = made.pos[: to[0] * to[1], 0].view(*to, 3)
    assert bool((places[1:, :, 1] > places[:-1, :, 1]).all())
    assert bool((places[:, 1:, 2] > places[:, :-1, 2]).all())


# llavolta


@pytest.mark.parametrize("stride", [2, 3, 4, 6])
def test_stretches_are_averaged_as_by_torch(stride: int) -> None:
    whole = tokens((3, 4, 6), needs=())
    made = compress("llavolta", whole, 72 // stride)
    wanted = functional.avg_pool1d(whole.x.T[None], stride)[0].T
    assert torch.allclose(made.apply(whole.x), wanted, atol=1e-6)


def test_no_token_at_the_end_is_lost() -> None:
    whole = tokens((1, 3, 9), needs=())
    for k in range(1, 27):
        dense = compress("llavolta", whole, k).to_dense() > 0
        sizes = dense.sum(1)
        assert torch.equal(dense.sum(0), torch.ones(27, dtype=torch.int64))
        assert int(sizes.max()) - int(sizes.min()) <= 1
        start = dense.float().argmax(1)
        assert torch.equal(start, sizes.cumsum(0) - sizes)  # each is a stretch


def test_the_end_of_a_line_goes_with_the_start_of_the_next() -> None:
    made = compress("llavolta", tokens((1, 2, 3), needs=()), 3)
    assert made.src[made.dst == 1].tolist() == [2, 3]
    assert made.pos[1, 0].tolist() == [0, 0.5, 1]


# fourier


@pytest.mark.parametrize("size", [1, 2, 5, 16])
def test_a_constant_stays_what_it_is(size: int) -> None:
    for n in range(1, size + 1):
        weights = lowpass(size, n)
        assert weights.shape == (n, size)
        assert torch.allclose(weights.sum(1), torch.ones(n), atol=1e-6)
        # And whatever n frequencies can tell comes through: cosines of less than n half turns.
        for turns in range(n):
            places = (torch.arange(size) + 0.5) / size
            fewer = (torch.arange(n) + 0.5) / n
            wave, wanted = ((turns * torch.pi * at).cos() for at in (places, fewer))
            assert torch.allclose(weights @ wave, wanted, atol=1e-5)
    assert torch.equal(lowpass(size, size), torch.eye(size))


@pytest.mark.parametrize(("size", "n"), [(24, 12), (10, 6), (7, 3)])
def test_low_pass_is_scipys_transform_cropped(size: int, n: int) -> None:
    wave = np.random.default_rng(0).normal(size=size)
    wanted = fft.idct(fft.dct(wave, norm="ortho")[:n], norm="ortho") * np.sqrt(n / size)
    assert np.allclose(lowpass(size, n).double().numpy() @ wave, wanted, atol=1e-5)


def test_high_frequencies_are_gone_where_averages_let_them_through() -> None:
    """Stripes just above what 5 tokens can tell alias in a mean of cells."""
    wave = (torch.arange(24) + 0.5).mul(torch.pi * 7 / 24).cos()
    whole = tokens((1, 24, 24), x=wave.repeat(24)[:, None], needs=())
    left = compress("fourier", whole, 25).apply(whole.x)
    assert float(left.abs().max()) < 1e-5
    assert float(compress("pool", whole, 25).apply(whole.x).abs().max()) > 0.05


def test_rows_of_a_low_pass_stand_in_the_middle_of_their_part_of_the_frame() -> None:
    made = compress("fourier", tokens((1, 12, 12), needs=()), 7)
    assert made.pos[:, 0, 1].tolist() == [1.5, 1.5, 5.5, 5.5, 9.5, 9.5, 9.5]
    assert made.pos[:, 0, 2].tolist() == [2.5, 8.5, 2.5, 8.5, 1.5, 5.5, 9.5]
    assert bool((made.weight < 0).any())  # it is no average


def test_hosts_of_a_low_pass_are_of_weight() -> None:
    for high, wide in [(16, 16), (9, 14), (27, 27)]:
        for n in (1, 2, 7, 20, high * wide // 2, high * wide - 1):
            made = grid_sampling(high, wide, n, lowpass)
            assert len(made.host) == n
            at_host = made.weight[made.src == made.host[made.dst]]
            assert len(at_host) == n
            assert float(at_host.min()) > 0
            assert rows_for(high, wide, n) == len(torch.unique(made.at[:, 0]))


# progressive, giraffe


def test_the_first_of_each_group_gets_its_times_the_tokens() -> None:
    whole = tokens((8, 16, 16), needs=())
    made = compress("giraffe", whole, 2 * (240 + 3 * 80))
    assert per_frame(made, 8) == [240, 80, 80, 80] * 2
    strides = compress("progressive", whole, 2 * (64 + 3 * 4))
    assert per_frame(strides, 8) == [64, 4, 4, 4] * 2
    frames = whole.x.view(8, 16, 16, 3).permute(0, 3, 1, 2)
    parts = [
        functional.avg_pool2d(frame, 8 if at % 4 else 2).flatten(1).T
        for at, frame in enumerate(frames)
    ]
    assert torch.allclose(strides.apply(whole.x), torch.cat(parts), atol=1e-6)


@pytest.mark.parametrize(("group", "near", "far"), [(3, 1, 2), (2, 2, 4), (5, 3, 3)])
def test_groups_and_strides_are_parameters(group: int, near: int, far: int) -> None:
    whole, times = tokens((11, 12, 12), needs=()), (far / near) ** 2
    shares = Progressive(group, near, far).shares(whole, 400)
    firsts = torch.arange(11) % group == 0
    unit = 400 / (times * int(firsts.sum()) + int((~firsts).sum()))
    assert bool(((shares - unit * torch.where(firsts, times, 1.0)).abs() < 1).all())
    assert int(shares.sum()) == 400
    assert torch.equal(shares, Giraffe(group, times).shares(whole, 400))


def test_a_full_first_frame_gives_the_rest_to_the_others() -> None:
    whole = tokens((4, 4, 4), needs=())
    assert per_frame(compress("progressive", whole, 34), 4) == [16, 6, 6, 6]
    assert per_frame(compress("progressive", whole, 6), 4) == [3, 1, 1, 1]


# ppllava


def test_a_window_is_what_fits_the_question() -> None:
    whole = tokens((4, 6, 6), needs=())
    question = torch.zeros(144)
    question[[8, 100]] = 0.5
    made = PPLLaVA()(by_question(whole, question), 8)
    dense = made.to_dense()
    assert torch.allclose(dense[:, [8, 100]].amax(0), torch.ones(2), atol=1e-6)
    assert {8, 100} <= {*made.host.tolist()}
    others = dense[(dense[:, [8, 100]] == 0).all(1)]
    assert len(others) == 6
    assert torch.allclose(others[others > 0], torch.tensor(1 / 18))  # windows of 2 x 3 x 3
    row = int(dense[:, 100].argmax())
    assert made.pos[row, 0].tolist() == pytest.approx(whole.pos[100].tolist(), abs=1e-4)


def test_the_released_form_is_nearly_plain_pooling_of_a_long_video() -> None:
    """Where patches differ by a hundredth in their cosines; the formula of the paper is not."""
    whole = tokens((16, 24, 24), dim=16, needs=())
    noise = torch.Generator().manual_seed(3)
    whole = by_question(whole, 0.2 + 0.01 * torch.randn(len(whole), generator=noise))
    k = 8 * 64
    flat = compress("ppllava", whole, k, scale=0.0).apply(whole.x)
    frames = whole.x.view(1, 16, 24, 24, 16).permute(0, 4, 1, 2, 3)
    plain = functional.avg_pool3d(frames, (2, 3, 3)).flatten(2)[0].T
    assert torch.allclose(flat, plain, atol=1e-5)

    def apart(form: str) -> float:
        made = compress("ppllava", whole, k, form=form)
        ours = made.apply(whole.x)[windows_in_order(made)]
        return float((ours - plain).norm() / plain.norm())

    assert apart("video") < 0.05
    assert apart("window") > 0.5


def test_windows_are_shorter_where_there_are_too_few_places() -> None:
    whole = tokens((6, 2, 2), needs=("question",))
    for k, runs in ((1, 1), (3, 3), (12, 3), (13, 4), (23, 6)):
        dense = compress("ppllava", whole, k, scale=0.0).to_dense() > 0
        spans = {tuple(torch.unique(whole.pos[row, 0]).tolist()) for row in dense}
        assert len(spans) == runs


def test_a_question_that_fits_nothing_else_leaves_no_row_without_a_token() -> None:
    """The exponential of all but the best is 0 in float32."""
    whole = by_question(tokens((4, 4, 4), needs=()), torch.linspace(-1, 1, 64))
    for form in ("window", "video"):
        for scale in (1e3, 1e6):
            holds(compress("ppllava", whole, 9, form=form, scale=scale), whole, 9)


# Parameters


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("pool", {"window": "max"}),
        ("m3", {"height": 3}),
        ("llavolta", {"width": 3}),
        ("fourier", {"height": 0}),
        ("progressive", {"group": 0}),
        ("progressive", {"near": 0}),
        ("progressive", {"far": float("inf")}),
        ("giraffe", {"ratio": 0.0}),
        ("giraffe", {"group": 2.5}),
        ("ppllava", {"form": "paper"}),
        ("ppllava", {"frames": 0}),
        ("ppllava", {"scale": -1.0}),
        ("ppllava", {"temperature": 0.0}),
    ],
)
def test_parameters_that_mean_nothing_are_told(name: str, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"compressor '{name}' does not take that"):
        compress(name, tokens((2, 4, 4), needs=("question",)), 3, **wrong)


def test_published_names_are_settings_of_one_pool() -> None:
    whole = tokens((3, 9, 7), needs=())
    for name, window in (
        ("tokenflex", "adaptive"),
        ("m3", "pyramid"),
        ("llavolta", "line"),
        ("fourier", "lowpass"),
    ):
        assert issubclass(method(name), GridPool)
        made, same = compress(name, whole, 50), compress("pool", whole, 50, window=window)
        assert torch.equal(made.to_dense(), same.to_dense())
