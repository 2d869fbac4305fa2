"""Tokens that stand for others and fit the question: MMTok, CATP and CDPruner."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from compress_kit import holds, tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracle import Case, cases
from torch import Tensor

from pipelines._compress_plain_diversity import PLAIN
from videopipe.compress import VisualTokens, cdpruner, compose, compress, mmtok
from videopipe.compress.cdpruner import CDPruner, most_likely
from videopipe.compress.coverage import Coverage, most_covering
from videopipe.compress.directions import unit_rows
from videopipe.compress.mmtok import MMTok
from videopipe.errors import ConfigError


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def asked(whole: VisualTokens, question: Tensor) -> VisualTokens:
    return replace(whole, signals={**whole.signals, "question": question})


@pytest.mark.parametrize("case", cases("mmtok"))
def test_mmtok_keeps_what_the_official_one_keeps(case: Case) -> None:
    p = case.params
    given = {name: torch.from_numpy(value) for name, value in case.inputs.items()}
    whole = replace(
        tokens(tuple(p["grid"]), x=given["vision"], needs=()),
        signals={"pre": given["vision_clip"]},
        context={"text": given["text"]},
    )
    settings = {name: p[name] for name in ("alpha", "tv_temp", "vv_temp")}
    padding = torch.arange(len(whole)) >= len(whole) - p["excluded_last"]
    method = MMTok(**settings, space="pre")
    order = method.order(whole, p["K"], padding)
    assert order.sort().values.tolist() == case.outputs["indices"].tolist()
    if not p["excluded_last"]:
        assert torch.equal(method(whole, p["K"]).host, order.sort().values)


@pytest.mark.parametrize("case", cases("cdpruner"))
def test_cdpruner_keeps_what_the_official_one_keeps(case: Case) -> None:
    x, image, text = (
        torch.from_numpy(case.inputs[name]) for name in ("tokens", "image_embeds", "text_embeds")
    )
    question = (unit_rows(image)[0] @ unit_rows(text)[0].T).mean(-1)
    grid = (len(x), *case.params["grid"])
    whole = asked(tokens(grid, x=x.flatten(0, 1), needs=()), question.flatten())
    made = compress("cdpruner", whole, case.params["K"] * len(x))
    mask = np.zeros(len(whole), dtype=bool)
    mask[made.host.numpy()] = True
    assert np.array_equal(mask.reshape(len(x), -1), case.outputs["mask"])


# The engine of coverage


def values(seed: int, rows: int, n: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((rows, n), dtype=np.float32) ** 4


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(1, 30), n=st.integers(1, 30), seed=st.integers(0, 99), data=st.data())
def test_what_a_token_adds_is_known_at_any_time(
    rows: int, n: int, seed: int, data: st.DataObject
) -> None:
    chances = values(seed, rows, n)
    cover, best = Coverage(chances), np.zeros(rows)
    for token in data.draw(st.lists(st.integers(0, n - 1), max_size=2 * n)):
        better = bool((chances[:, token] > best).any())
        assert cover.take(token) == better
        best = np.maximum(best, chances[:, token])
        dense = np.maximum(chances - best[:, None], 0).sum(0, dtype=np.float64)
        assert np.allclose(cover.gain, dense, rtol=1e-12, atol=1e-12 * rows)


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_windows_are_chosen_from_as_if_all_were_one(sizes: list[int], seed: int) -> None:
    n = sum(sizes)
    parts = [values(seed + number, size, size) for number, size in enumerate(sizes)]
    words, bonus = values(seed + 9, 3, n), values(seed + 10, 1, n)[0]
    dense = np.zeros((n + 3, n))
    for part, end in zip(parts, np.cumsum(sizes), strict=True):
        dense[end - len(part) : end, end - len(part) : end] = part
    dense[n:] = words
    best, order = np.zeros(n + 3), list[int]()
    k = max(1, n // 2)
    while len(order) < k:
        gain = np.maximum(dense - best[:, None], 0).sum(0) + bonus
        gain[order] = -np.inf
        order.append(int(gain.argmax()))
        best = np.maximum(best, dense[:, order[-1]])
    assert most_covering([Coverage(part) for part in parts], k, Coverage(words), bonus) == order


def test_where_nothing_is_left_to_cover_tokens_follow_at_even_distances() -> None:
    same = np.ones((40, 40), dtype=np.float32)
    order = most_covering([Coverage(same)], 5)
    assert order[0] == 0
    assert np.diff(sorted(order[1:])).min() >= 9
    fits = np.zeros(40)
    fits[[7, 31]] = 0.1
    assert sorted(most_covering([Coverage(same)], 2, bonus=fits)) == [7, 31]
    barred = np.arange(40) < 38
    assert set(most_covering([Coverage(same)], 2, barred=barred)) == {38, 39}


# MMTok


def test_a_token_that_a_word_means_is_kept() -> None:
    whole = tokens((4, 4, 4), dim=16, needs=())
    words = whole.x[[9, 50]] * 3 + 0.1 * noise(2, 16)
    order = MMTok().order(replace(whole, context={"text": words}), 4)
    assert {9, 50} <= set(order.tolist())


def test_without_words_tokens_are_covered() -> None:
    whole = tokens((2, 5, 5), dim=8, needs=("text",))
    empty = replace(whole, context={"text": whole.x[:0]})
    alike = (unit_rows(whole.x)[0] @ unit_rows(whole.x)[0].T / 0.2).softmax(1) / 100
    expected = most_covering([Coverage(alike.numpy())], 9)
    assert MMTok().order(empty, 9).tolist() == expected
    # Words that fit nothing better than all else do no harm.
    assert len(compress("mmtok", replace(whole, context={"text": torch.zeros(2, 8)}), 9)) == 9
    assert compose("mmtok").needs == {"text"}
    assert compose("mmtok(space=pre)").needs == {"text", "pre"}


def test_windows_share_the_budget_by_what_the_words_mean() -> None:
    whole = tokens((8, 4, 4), dim=24, needs=())
    words = whole.x[80:92]  # all of frame 5
    made = MMTok(window=32)(replace(whole, context={"text": words}), 24)
    assert set(range(80, 92)) <= set(made.host.tolist())


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(any),
    window=st.integers(1, 60),
)
def test_windows_are_of_whole_frames(sizes: list[int], window: int) -> None:
    steps = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    pos = torch.stack([steps, 0 * steps, 0 * steps], 1).float()
    whole = VisualTokens(
        torch.ones(len(pos), 1), pos, (len(sizes), 1, 40), torch.zeros(len(sizes)).double()
    )
    spans = mmtok._windows(whole, window)
    lengths = [span.stop - span.start for span in spans]
    assert [span.start for span in spans] == [0, *np.cumsum(lengths)[:-1].tolist()]
    assert sum(lengths) == len(whole)
    assert min(lengths) > 0
    assert max(lengths) < 3 * window + 1 or len(whole) < 2 * window
    if len(whole) < 2 * window:
        assert len(spans) == 1
    if window >= 2 * max(sizes):  # no frame is cut
        assert {span.stop for span in spans} <= set(np.cumsum(sizes).tolist())


def test_windows_lose_little_of_what_is_covered() -> None:
    still = noise(2, 32, 24).repeat_interleave(4, 0)
    x = (still + 0.4 * noise(8, 32, 24, seed=1)).flatten(0, 1)
    whole = tokens((8, 4, 8), x=x, needs=())
    whole = replace(whole, context={"text": x[:0]})
    unit, _ = unit_rows(x)
    alike = (unit @ unit.T / 0.2).softmax(1)
    covered = [
        float(alike[:, compress(spec, whole, 25).host].amax(1).sum())
        for spec in ("mmtok", "mmtok(window=128)", "uniform")
    ]
    assert covered[1] > 0.95 * covered[0]
    assert covered[1] > 1.1 * covered[2]


# CATP


def worth(x: Tensor, fits: Tensor, chosen: tuple[int, ...]) -> float:
    alike = (1 + unit_rows(x)[0] @ unit_rows(x)[0].T) / 2
    some = list(chosen)
    return float(alike[:, some].amax(1).sum() + 0.7 * fits[some].sum())


@pytest.mark.parametrize("seed", range(6))
def test_catp_is_near_the_best_of_all_choices(seed: int) -> None:
    n, k = 12 - seed, 1 + seed % 4
    x, question = noise(n, 4, seed=seed), noise(n, seed=seed + 50).tanh()
    fits = (1 + question) / 2
    kept = compress("catp", asked(tokens((1, 1, n), x=x, needs=()), question), k).host
    best = max(worth(x, fits, some) for some in combinations(range(n), k))
    assert worth(x, fits, tuple(kept.tolist())) >= 0.63 * best
    if k == 1:
        assert worth(x, fits, tuple(kept.tolist())) == pytest.approx(best)


def test_catp_follows_the_question_as_much_as_it_is_told() -> None:
    whole = tokens((2, 4, 4), dim=8, needs=())
    question = torch.linspace(-1, 1, 32)
    follows = compress("catp(alignment=1000)", asked(whole, question), 8)
    assert follows.host.tolist() == [12, 13, 14, 15, 28, 29, 30, 31]
    assert compose("catp(alignment=0)").needs == frozenset()
    blind = compress("catp(alignment=0)", whole, 8).host
    assert torch.equal(blind, compress("catp(alignment=0)", asked(whole, question), 8).host)
    assert torch.equal(blind, compress("catp", asked(whole, torch.full((32,), 0.5)), 8).host)


# CDPruner


def test_most_likely_sets_are_those_of_largest_determinants() -> None:
    unit = unit_rows(noise(3, 14, 9))[0]
    weight = torch.rand(3, 14, generator=torch.Generator().manual_seed(1)) + 0.1
    cosines = unit @ unit.mT
    order = most_likely(cosines, weight, 7)
    kernel = (weight[:, :, None] * cosines * weight[:, None]).double()
    for one, picks in zip(kernel, order.tolist(), strict=True):
        chosen: list[int] = []
        for pick in picks:
            size = {
                row: float(torch.linalg.det(one[[*chosen, row]][:, [*chosen, row]]))
                for row in set(range(14)) - set(chosen)
            }
            assert pick == max(size, key=size.__getitem__)
            chosen.append(pick)


def test_once_all_directions_are_spent_the_relevant_follow() -> None:
    """The released code goes on with NaN."""
    whole = tokens((2, 5, 5), dim=3, needs=())
    question = torch.rand(50, generator=torch.Generator().manual_seed(0))
    made = compress("cdpruner", asked(whole, question), 24)
    relevance = CDPruner().relevance(question)
    for frame in (slice(0, 25), slice(25, 50)):
        unit, _ = unit_rows(whole.x[frame])
        order = most_likely((unit @ unit.T)[None], relevance[None, frame], 12)[0].tolist()
        assert min(order[:3]) >= 0
        assert order[3:] == [-1] * 9
        others = [row for row in (-relevance[frame]).argsort().tolist() if row not in order]
        mine = made.host[(made.host >= frame.start) & (made.host < frame.stop)] - frame.start
        assert set(mine.tolist()) == {*order[:3], *others[:9]}


def test_the_sign_of_the_question_is_as_published_unless_turned() -> None:
    whole = asked(tokens((1, 6, 6), dim=40, needs=()), torch.linspace(-1, 1, 36))
    negated, turned = (compress(spec, whole, 6) for spec in ("cdpruner", "cdpruner(sign=1)"))
    assert float(negated.host.float().mean()) < 15
    assert float(turned.host.float().mean()) > 20


def test_relevance_is_scaled_over_all_frames_and_frames_in_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = asked(tokens((6, 4, 4), dim=20, needs=()), torch.linspace(0.2, 0.7, 96))
    relevance = CDPruner().relevance(whole.signals["question"])
    assert float(relevance[0]) == pytest.approx(1, abs=1e-5)
    assert 0 < float(relevance[-1]) < 1e-5
    together = compress("cdpruner", whole, 27).host
    monkeypatch.setattr(cdpruner, "_AT_ONCE", 3000)
    assert torch.equal(compress("cdpruner", whole, 27).host, together)
    # Frames of different sizes, and some that get nothing.
    for k in (3, 27):
        ragged = whole.take(torch.arange(96) % 5 > 0)
        some = compress("cdpruner", ragged, k)
        monkeypatch.undo()
        assert torch.equal(some.host, compress("cdpruner", ragged, k).host)


# All


@pytest.mark.parametrize("name", ["catp", "cdpruner", "mmtok"])
def test_the_plain_procedures_keep_the_same(name: str) -> None:
    whole = tokens((6, 5, 6), dim=48, needs=("question", "text"))
    for k in (12, 60):
        kept = PLAIN[name](whole, k)
        assert isinstance(kept, Tensor)
        assert torch.equal(compress(name, whole, k).host, kept)


@pytest.mark.parametrize("name", ["catp", "cdpruner"])
def test_frames_share_evenly(name: str) -> None:
    whole = tokens((7, 3, 5), dim=8, needs=("question",))
    for k in (3, 7, 40):
        counts = torch.bincount(whole.step[compress(name, whole, k).host], minlength=7)
        assert int(counts.max()) - int(counts.min()) <= 1


SPECS = ["catp", "catp(alignment=0)", "cdpruner", "mmtok", "mmtok(space=pre)", "mmtok(window=7)"]


@pytest.mark.parametrize("spec", SPECS)
def test_any_tokens_become_as_many_as_are_asked_for(spec: str) -> None:
    for grid in ((1, 1, 2), (1, 5, 5), (7, 1, 1), (4, 3, 5)):
        n = grid[0] * grid[1] * grid[2]
        few = noise(2, 3).repeat(n, 1)[:n]
        some = noise(n, 3) * (torch.arange(n) % 3 > 0)[:, None]
        for x in (noise(n, 3), torch.ones(n, 3), torch.zeros(n, 3), few, some):
            whole = tokens(grid, x=x, needs=("question", "text", "pre"))
            for level in (whole, asked(whole, torch.zeros(n))):
                for k in {1, 2, n // 2, n - 1}:
                    if 1 <= k < n:
                        holds(compress(spec, level, k), level, k)
    ragged = tokens((4, 3, 5), needs=("question", "text", "pre"))
    ragged = ragged.take(torch.tensor([0, 1, 2, 20, 50, 51, 52, 53, 59]))
    for k in range(1, 9):
        holds(compress(spec, ragged, k), ragged, k)


@pytest.mark.parametrize("spec", ["catp(alignment=0)", "mmtok", "cdpruner"])
def test_what_nothing_tells_apart_is_kept_at_even_distances(spec: str) -> None:
    whole = tokens((2, 8, 8), x=torch.ones(128, 3), needs=())
    whole = replace(asked(whole, torch.ones(128)), context={"text": torch.ones(1, 3)})
    kept = compress(spec, whole, 16).host
    assert bool((torch.histc(kept.float(), 8, 0, 128) >= 1).all())


@pytest.mark.parametrize(
    "spec",
    [
        "catp(alignment=-1)",
        "cdpruner(sign=0)",
        "mmtok(alpha=-0.1)",
        "mmtok(tv_temp=0)",
        "mmtok(vv_temp=0.0)",
        "mmtok(window=0)",
        "mmtok(space=clip)",
    ],
)
def test_parameters_that_mean_nothing_are_told(spec: str) -> None:
    with pytest.raises(ConfigError, match="does not take that"):
        compose(spec)
