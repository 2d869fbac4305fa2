"""Visual tokens of pixels, and the measures of what a map leaves of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from compress_kit import tokens
from numpy.typing import NDArray
from torch.nn.functional import normalize

from videopipe.compress import TokenMap, compress
from videopipe.evaluate import token_metrics
from videopipe.evaluate.cells import cell_tokens
from videopipe.evaluate.kept import kept_frames
from videopipe.evaluate.token_metrics import coverage, nearest, reconstruction_error

SHADES = np.array([[30, 60, 90], [200, 180, 40], [90, 20, 160]], np.uint8)


def picture(high: int, wide: int, seed: int = 0, cell: int = 28) -> NDArray[np.uint8]:
    """Noise of its own in each cell."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (high * cell, wide * cell, 3), np.uint8)


# Measures


def test_nothing_is_lost_where_every_token_is_there() -> None:
    whole = tokens((3, 4, 5), needs=())
    everything = TokenMap.keep(torch.arange(60), whole.pos)
    assert reconstruction_error(whole, everything) == 0
    assert coverage(whole, everything) == pytest.approx(1, abs=1e-6)


def test_the_mean_of_all_tells_nothing() -> None:
    whole = tokens((3, 4, 5), needs=())
    mean = compress("pool", whole, 1)
    assert reconstruction_error(whole, mean) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", ["pool", "uniform", "llavolta"])
def test_each_token_is_told_by_the_row_nearest_to_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tokens((3, 4, 5), dim=6, needs=())
    made = compress(name, whole, 9)
    x, rows = whole.x.double(), made.apply(whole.x).double()
    apart = torch.cdist(x, rows)
    error = apart.amin(1).square().sum() / (x - x.mean(0)).square().sum()
    alike = normalize(x - x.mean(0), dim=1) @ normalize(rows - x.mean(0), dim=1).T
    for at_once in (2**24, 20):  # all at once, and two tokens at a time
        monkeypatch.setattr(token_metrics, "_AT_ONCE", at_once)
        assert torch.equal(nearest(whole, rows), apart.argmin(1))
        assert reconstruction_error(whole, made) == pytest.approx(float(error), abs=1e-5)
        assert coverage(whole, made) == pytest.approx(float(alike.amax(1).mean()), abs=1e-5)


def test_more_tokens_tell_more() -> None:
    whole = tokens((4, 5, 6), needs=())
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    kept = [TokenMap.keep(order[:k].sort().values, whole.pos) for k in (1, 5, 20, 60, 119)]
    errors = [reconstruction_error(whole, made) for made in kept]
    covered = [coverage(whole, made) for made in kept]
    assert errors == sorted(errors, reverse=True)
    assert covered == sorted(covered)


def test_what_all_have_in_common_counts_for_nothing() -> None:
    whole = tokens((3, 4, 5), needs=())
    moved = tokens((3, 4, 5), x=whole.x + 50, needs=())
    for name in ("pool", "uniform"):
        made = compress(name, whole, 7)
        for measure in (reconstruction_error, coverage):
            assert measure(moved, made) == pytest.approx(measure(whole, made), abs=1e-3)


def test_tokens_that_are_all_alike_are_told_by_one() -> None:
    whole = tokens((2, 3, 3), x=torch.full((18, 3), 7.0), needs=())
    made = compress("uniform", whole, 1)
    assert reconstruction_error(whole, made) == pytest.approx(0, abs=1e-6)
    assert np.isfinite(coverage(whole, made))


# Tokens of pixels


def test_there_is_a_token_for_each_whole_cell() -> None:
    frames = np.zeros((3, 100, 130, 3), np.uint8)
    made = cell_tokens(frames, times=np.array([1.0, 2.5, 4.0]))
    assert made.grid == (3, 3, 4)
    assert made.whole
    assert made.times.tolist() == [1.0, 2.5, 4.0]
    assert made.x.shape == (36, 62)
    assert cell_tokens(frames, 20).grid == (3, 5, 6)


def test_what_is_left_over_of_a_cell_says_nothing() -> None:
    whole = picture(2, 3)
    more = np.pad(whole, ((0, 27), (0, 13), (0, 0)), constant_values=99)
    assert torch.equal(cell_tokens(whole[None]).x, cell_tokens(more[None]).x)


def test_flat_cells_tell_colours_apart_and_nothing_else() -> None:
    frames = np.repeat(np.repeat(SHADES[:, None, None], 56, 1), 56, 2)
    x = cell_tokens(frames).x.view(3, 4, 62)
    assert torch.allclose(x, x[:, :1].expand(-1, 4, -1), atol=1e-5)
    assert float(torch.cdist(x[:, 0], x[:, 0]).fill_diagonal_(9).min()) > 0.5


def test_a_token_is_of_its_cell_wherever_it_is() -> None:
    """But for the edges at its border, where its neighbours show."""
    frame = picture(3, 4)
    moved = np.roll(frame, (28, 2 * 28), axis=(0, 1))
    x = cell_tokens(np.stack([frame, moved])).x.view(2, 3, 4, 62)[..., :54]
    assert torch.allclose(x[0].roll((1, 2), (0, 1)), x[1], atol=1e-5)


def test_what_does_not_change_has_the_same_tokens() -> None:
    frames = np.stack([picture(4, 4)] * 2)
    frames[1, 30:50, 60:80] = 255  # within the cell of row 1 and column 2
    x = cell_tokens(frames).x.view(2, 16, 62)
    changed = (x[0] != x[1]).any(1).nonzero().flatten().tolist()
    assert 6 in changed
    assert {*changed} <= {1, 2, 3, 5, 6, 7, 9, 10, 11}
    assert (x[0] != x[1])[:, :54].any(1).nonzero().flatten().tolist() == [6]


def test_signals_stand_in_for_those_of_a_model() -> None:
    frames = np.full((2, 84, 112, 3), 120, np.uint8)
    frames[0, 28:56, 56:84] = picture(1, 1)
    needs = ["attention:-1", "recv:-2", "key:-1", "metric:50%", "pre", "sensitivity", "frame"]
    made = cell_tokens(frames, needs=needs)
    assert {*made.signals, *made.context} == {*needs}
    attention = made.signals["attention:-1"].view(2, 12)
    assert attention[0].sum() == pytest.approx(1, abs=1e-5)
    assert int(attention[0].argmax()) == 6
    assert torch.isfinite(attention).all()  # of a flat frame as well
    assert made.context["frame"].shape == (2, 62)


def test_a_question_is_a_picture_of_what_is_asked_for() -> None:
    frames = np.stack([picture(3, 4, seed) for seed in range(3)])
    asked = frames[1, 28:56, 84:112]
    made = cell_tokens(frames, needs=["question", "text", "relevance"], asked=asked)
    assert int(made.signals["question"].argmax()) == 12 + 4 + 3
    assert made.context["text"].shape == (1, 62)
    relevance = made.signals["relevance"].view(3, 12)
    assert torch.equal(relevance, relevance[:, :1].expand(-1, 12))
    assert int(relevance[:, 0].argmax()) == 1


def test_every_compressor_that_asks_for_signals_can_be_looked_at() -> None:
    frames = np.stack([picture(4, 5, seed) for seed in range(4)])
    for name in ("quota", "ppllava"):
        made = cell_tokens(frames, needs=["question", "relevance"], asked=frames[2])
        assert len(compress(name, made, 17)) == 17


@pytest.mark.parametrize(
    ("frames", "needs", "says"),
    [
        (np.zeros((1, 27, 40, 3), np.uint8), (), "have no cell of 28 x 28"),
        (np.zeros((0, 56, 56, 3), np.uint8), (), "have no cell"),
        (np.zeros((1, 56, 56, 3), np.uint8), ("question",), "say what is asked for"),
        (np.zeros((1, 56, 56, 3), np.uint8), ("heat",), "no signal 'heat'"),
    ],
)
def test_what_pixels_cannot_give_is_told(
    frames: NDArray[np.uint8], needs: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        cell_tokens(frames, needs=needs)


# Pictures of a map


def test_what_is_kept_is_shown_and_what_is_not_is_dark() -> None:
    frames = np.stack([picture(2, 3, seed, 8) for seed in range(2)])
    whole = cell_tokens(frames, 8)
    more = np.pad(frames, ((0, 0), (0, 5), (0, 7), (0, 0)))  # less than a cell
    everything = TokenMap.keep(torch.arange(12), whole.pos)
    assert np.array_equal(kept_frames(more, everything, 8), frames)
    shown = kept_frames(frames, TokenMap.keep(torch.tensor([1, 9]), whole.pos), 8)
    assert np.array_equal(shown[0, :8, 8:16], frames[0, :8, 8:16])
    assert np.array_equal(shown[1, 8:, :8], frames[1, 8:, :8])
    shown[0, :8, 8:16] = shown[1, 8:, :8] = 0
    assert shown.max() <= 51


def test_merged_cells_all_show_their_mean() -> None:
    frames = np.stack([picture(2, 2, seed, 8) for seed in range(2)])
    whole = cell_tokens(frames, 8)
    shown = kept_frames(frames, compress("pool", whole, 2), 8)
    for frame, left in zip(frames, shown, strict=True):
        mean = frame.reshape(2, 8, 2, 8, 3).mean((0, 2)).round()
        for y in (0, 8):
            for x in (0, 8):
                assert np.abs(left[y : y + 8, x : x + 8] - mean).max() <= 1


def test_a_cell_of_several_rows_shows_the_one_in_which_it_counts_most() -> None:
    line = np.repeat(SHADES, 8, 0)[None, None]  # three cells in a row
    frames = np.repeat(line, 8, 1)
    whole = cell_tokens(frames, 8)
    made = TokenMap(
        src=torch.tensor([0, 1, 1, 2]),
        dst=torch.tensor([0, 0, 1, 1]),
        weight=torch.tensor([0.6, 0.4, 0.2, 0.8]),
        pos=whole.pos[[0, 2], None],
        host=torch.tensor([0, 2]),
        tokens_in=3,
    )
    shown = kept_frames(frames, made, 8)[0, 0, ::8].astype(float)
    first = 0.6 * SHADES[0] + 0.4 * SHADES[1]
    last = 0.2 * SHADES[1] + 0.8 * SHADES[2]
    assert np.abs(shown - [first, first, last]).max() <= 1


def test_a_map_of_other_frames_is_refused() -> None:
    frames = np.zeros((2, 16, 16, 3), np.uint8)
    made = compress("uniform", cell_tokens(frames, 8), 3)
    with pytest.raises(ValueError, match="not of 1 frames of 2 x 2 cells"):
        kept_frames(frames[:1], made, 8)
