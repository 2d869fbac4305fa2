"""Selectors: agreement with the official ones, and what must hold for all of them."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Case, cases

from videopipe.errors import ConfigError
from videopipe.select import Candidates, Landmarks, choose, group, method, methods, select
from videopipe.select.aks import Aks
from videopipe.select.fill import evenly, fill
from videopipe.select.focus import Focus
from videopipe.select.lazy import lazy_greedy
from videopipe.select.space_aware import cover
from videopipe.select.wfs_sb import WfsSb

RNG = np.random.default_rng
NEED_RELEVANCE = [name for name in methods() if "relevance" in method(name).needs]  # type: ignore[attr-defined]


def candidates(count: int, seed: int = 0, **changes: object) -> Candidates:
    """Candidates with all signals: shots of ten frames, two events."""
    rng = RNG(seed)
    shots = np.repeat(rng.normal(size=(count // 10 + 1, 8)), 10, 0)[:count]
    relevance = rng.uniform(0.1, 0.3, count)
    relevance[count // 3 : count // 3 + 4] += 0.5
    relevance[count * 2 // 3 : count * 2 // 3 + 2] += 0.4
    points = [rng.integers(i // 3, i // 3 + 12, 6) for i in range(count)]
    made = Candidates(
        np.arange(count) + 0.5,
        relevance=relevance,
        features=(shots + 0.1 * rng.normal(size=shots.shape)).astype(np.float16),
        landmarks=Landmarks.of(points),
        cuts=np.arange(10.0, count, 10.0),
        duration=float(count),
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def seconds(scores: np.ndarray) -> np.ndarray:
    return np.arange(len(scores), dtype=np.float64)


@pytest.mark.parametrize("case", cases("aks"))
def test_aks_picks_as_the_official_one_does(case: Case) -> None:
    scores, params = case.inputs["scores"], case.params
    how = {name: params[name] for name in ("t1", "t2", "max_depth")}
    found = select("aks", Candidates(seconds(scores), relevance=scores), params["M"], **how)
    assert found.tolist() == case.outputs["indices"].tolist()
    segments = Aks(**how).segments(scores.astype(np.float64), params["M"])
    assert [segment[:3] for segment in segments] == [
        tuple(row) for row in case.outputs["segments"].tolist()
    ]


@pytest.mark.parametrize("case", cases("bolt"))
def test_bolt_picks_as_the_official_one_does(case: Case) -> None:
    scores = case.inputs["scores"]
    found = select(
        "bolt",
        Candidates(seconds(scores), relevance=scores),
        case.params["n"],
        power=case.params["power"],
    )
    assert found.tolist() == case.outputs["indices"].tolist()


@pytest.mark.parametrize("case", cases("wfs_sb"))
def test_wfs_sb_agrees_with_the_official_one_step_by_step(case: Case) -> None:
    params = dict(case.params)
    k = params.pop("num_frames")
    scores = case.inputs["scores"].astype(np.float64)
    made = Candidates(seconds(scores), relevance=scores, features=case.inputs.get("features"))
    assert select("wfs-sb", made, k, **params).tolist() == case.outputs["indices"].tolist()
    ours, out = WfsSb(**params), case.outputs
    assert ours.level(len(scores)) == out["dwt_level"]
    np.testing.assert_allclose(ours.detail(scores), out["detail_signal"], rtol=1e-4, atol=1e-6)
    assert ours.peaks(scores).tolist() == out["peaks"].tolist()
    segments = ours.segments(scores, ours.peaks(scores))
    np.testing.assert_allclose(ours.importance(scores, segments), out["importance"], rtol=1e-4)
    kept = ours.kept(scores, segments)
    assert [list(segment) for segment in kept] == out["kept_segments"].tolist()
    shares = ours.allocation(ours.importance(scores, kept), k)
    assert shares.tolist() == out["allocation"].tolist()


@pytest.mark.parametrize("case", cases("mdp3"))
def test_mdp3_picks_as_the_official_one_does(case: Case) -> None:
    frames, text, params = case.inputs["frames"], case.inputs["text"], dict(case.params)
    k = params.pop("n_selection")
    params["alphas"] = tuple(params["alphas"])
    cosines = frames.astype(np.float64) @ text.astype(np.float64)
    made = Candidates(seconds(cosines), relevance=cosines, features=frames)
    assert select("mdp3", made, k, **params).tolist() == case.outputs["indices"].tolist()


@pytest.mark.parametrize("case", cases("vilamp"))
def test_vilamp_picks_as_the_official_one_does(case: Case) -> None:
    frames, text = (case.inputs[name].astype(np.float64) for name in ("frames", "text"))
    cosines = frames @ text / np.linalg.norm(frames, axis=1) / np.linalg.norm(text)
    made = Candidates(seconds(cosines), relevance=cosines, features=frames)
    params = {name: case.params[name] for name in ("f2f_threshold", "f2t_threshold")}
    found = select("vilamp", made, case.params["max_frame_num"], **params)
    assert found.tolist() == case.outputs["indices"].tolist()


@pytest.mark.parametrize("case", cases("spatial_mllm"))
def test_space_aware_picks_in_the_official_order(case: Case) -> None:
    params = dict(case.params)
    k = params.pop("K")
    seen = Landmarks.from_point_maps(
        case.inputs["world_points"], case.inputs["confidence"], **params
    )
    assert cover(seen, k).tolist() == case.outputs["order"].tolist()
    made = Candidates(np.arange(len(seen), dtype=np.float64), landmarks=seen)
    assert select("space-aware", made, k).tolist() == case.outputs["indices"].tolist()


@pytest.mark.parametrize("case", cases("focus"))
def test_focus_agrees_with_the_official_one_given_its_samples(case: Case) -> None:
    out, params = case.outputs, case.params
    scores = case.inputs["scores"].astype(np.float64)
    names = {field.name for field in dataclasses.fields(Focus)}
    ours = Focus(**{name: value for name, value in params.items() if name in names})
    edges = ours.edges(len(scores), 1 / params["fps"])
    assert edges[:-1].tolist() == out["arm_start"].tolist()
    assert (edges[1:] - 1).tolist() == out["arm_end"].tolist()
    coarse = out["coarse_indices"]
    arms = ours.arms(edges, coarse, scores[coarse])
    np.testing.assert_allclose(arms.mean, out["arm_mean"], atol=1e-5)
    np.testing.assert_allclose(arms.variance, out["arm_var"], atol=1e-5)
    np.testing.assert_allclose(arms.bound, out["arm_ucb"], atol=1e-5)
    assert set(ours.zoom(arms)) == set(out["zoom_arms"])
    samples = np.concatenate([coarse, out["fine_indices"]])
    top = ours.top(samples, scores[samples], params["k"])
    assert set(top) == set(out["top_frames"])
    # The official one ranks by the bound of the coarse samples.
    assert ours.shares(arms.bound, params["k"] - len(top)).tolist() == out["arm_counts"].tolist()
    # In the middles of the stretches as officially, the rest is drawn in an order of our own.
    assert set(out["coarse_indices"][:: len(coarse) // (len(edges) - 1)]) <= set(
        ours.coarse(edges, RNG(0))
    )
    nearest = [
        ours.estimate(np.arange(a, b), inside, scores[inside])
        for a, b in pairwise(edges)
        for inside in [coarse[(coarse >= a) & (coarse < b)]]
    ]
    np.testing.assert_allclose(np.concatenate(nearest), out["estimated"], atol=1e-6)


def test_focus_looks_at_less_than_two_percent_of_a_video() -> None:
    looked: set[int] = set()

    def look(rows: np.ndarray) -> np.ndarray:
        looked.update(rows.tolist())
        return np.exp(-((rows / 25 - 1200) ** 2) / 50)

    frames = 25 * 1800
    made = Candidates(np.arange(frames) / 25, look=look)
    found = choose("focus", made, 32).indices
    assert len(looked) < 0.02 * frames
    assert (np.abs(found / 25 - 1200) < 24).sum() >= 6  # the fine scores find the event


@pytest.mark.parametrize("name", methods())
@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 90),
    k=st.integers(1, 100),
    seed=st.integers(0, 5),
    curve=st.sampled_from(["events", "constant", "nan", "some nan", "spike", "negative"]),
    spread=st.sampled_from([0.0, 1.0, 7.0]),
)
def test_the_count_is_exact_and_the_frames_are_sorted_and_unique(
    name: str, count: int, k: int, seed: int, curve: str, spread: float
) -> None:
    made = candidates(max(count, 3), seed).take(np.arange(count))
    relevance = made.scores.copy()
    if curve == "constant":
        relevance[:] = 0.4
    elif curve == "nan":
        relevance[:] = np.nan
    elif curve == "some nan":
        relevance[::3] = np.nan
    elif curve == "spike":
        relevance[:] = 0
        relevance[count // 2] = 1
    elif curve == "negative":
        relevance -= 3
    made = dataclasses.replace(made, relevance=relevance, times=made.times * spread)
    found = select(name, made, k)
    assert len(found) == min(k, count)
    assert (np.diff(found) > 0).all()
    assert found[0] >= 0
    assert found[-1] < count
    assert found.tolist() == select(name, made, k).tolist()


@pytest.mark.parametrize("name", methods())
def test_duplicates_and_zero_features_do_no_harm(name: str) -> None:
    made = candidates(60)
    assert made.features is not None
    for features in (np.ones((60, 8)), np.zeros((60, 8)), made.features.repeat(3, 0)[:60]):
        found = select(name, dataclasses.replace(made, features=features), 16)
        assert len(set(found.tolist())) == 16


@pytest.mark.parametrize(
    "name", ["uniform", "top-k", "aks", "bolt", "f2c", "q-frame", "auto", "space-aware", "b-vllm"]
)
@given(scale=st.floats(0.01, 100), shift=st.floats(-5, 5))
@settings(max_examples=20, deadline=None)
def test_rescaled_relevance_changes_nothing(name: str, scale: float, shift: float) -> None:
    made = candidates(120)
    rescaled = dataclasses.replace(made, relevance=made.scores * scale + shift)
    assert select(name, made, 12).tolist() == select(name, rescaled, 12).tolist()


@pytest.mark.parametrize("name", [n for n in NEED_RELEVANCE if n != "quota"])
def test_every_event_that_stands_out_is_seen(name: str) -> None:
    made = candidates(120)
    found = set(select(name, made, 24).tolist())
    assert found & set(range(40, 44))
    assert found & {80, 81}


def test_frames_are_filled_into_the_largest_gaps() -> None:
    assert fill(np.array([50]), 100, 3).tolist() == [17, 50, 83]
    assert fill(np.array([0, 99]), 100, 4).tolist() == [0, 33, 66, 99]
    assert fill(np.array([7, 3, 5]), 100, 2).tolist() == [3, 7]
    assert fill(np.empty(0, np.int64), 100, 2).tolist() == [25, 75]
    assert evenly(4, 9).tolist() == [0, 1, 2, 3]
    apart = np.diff(fill(np.arange(40, 46), 100, 30))
    assert apart.max() <= 5  # nothing is left out, and no side is preferred


@given(st.sets(st.integers(0, 39), max_size=40), st.integers(1, 40))
def test_filled_frames_are_new_and_as_many_as_asked_for(chosen: set[int], k: int) -> None:
    found = fill(np.array(sorted(chosen), dtype=np.int64), 40, k)
    assert len(set(found.tolist())) == len(found) == k
    assert (np.diff(found) > 0).all()
    assert set(found.tolist()) >= chosen or set(found.tolist()) <= chosen
    assert found[0] >= 0
    assert found[-1] < 40


def test_aks_loses_no_frames_where_the_budget_does_not_divide() -> None:
    scores = RNG(1).random(300)
    made = Candidates(seconds(scores), relevance=scores)
    segments = Aks().segments(scores, 48)
    assert sum(segment.frames for segment in segments) == 48
    assert len(select("aks", made, 8)) == 8


def test_bolt_shows_a_spike_once_and_others_instead() -> None:
    scores = np.full(200, 0.01)
    scores[70] = 1.0
    scores[120:124] = 0.3
    made = Candidates(seconds(scores), relevance=scores)
    found = select("bolt", made, 6)
    assert 70 in found
    assert len(set(found.tolist()) & {120, 121, 122, 123}) >= 3


def test_f2c_trades_resolution_for_frames() -> None:
    made = candidates(120)
    picks = choose("f2c", made, 24)
    assert picks.weights is not None
    assert len(picks.indices) == 24
    assert picks.weights.max() == 1
    assert picks.weights.min() >= 1 / 4 - 1e-9
    clips = group("f2c", made, picks).clips
    assert any(len(clip) > 1 and clip.weight < 1 for clip in clips)


def test_q_frame_gives_the_best_frames_the_most() -> None:
    picks = choose("q-frame", candidates(200), 44, noise=0.0)
    assert picks.weights is not None
    tiers, counts = np.unique(picks.weights, return_counts=True)
    assert tiers.tolist() == [1 / 16, 1 / 4, 1]
    assert counts.tolist() == [32, 8, 4]
    best = picks.indices[picks.weights == 1]
    assert set(best) <= {66, 67, 68, 69, 133, 134}


def test_quota_weighs_by_the_square_of_the_probability() -> None:
    made = Candidates(np.arange(50.0), relevance=np.linspace(0.5, 1, 50))
    picks = choose("quota", made, 20)
    assert picks.weights is not None
    np.testing.assert_allclose(picks.weights, made.scores[picks.indices] ** 2, rtol=1e-12)


def test_greedy_coverage_is_that_of_sets() -> None:
    rng = RNG(3)
    frames = [set(rng.integers(0, 60, 8).tolist()) for _ in range(40)]
    covered: set[int] = set()
    expected = []
    for _ in range(9):
        gains = [len(points - covered) for points in frames]
        expected.append(int(np.argmax(gains)))
        covered |= frames[expected[-1]]
    assert cover(Landmarks.of(frames), 9).tolist() == expected


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_lazy_greedy_chooses_what_greedy_does(seed: int) -> None:
    rng = RNG(seed)
    worth, like = rng.random(150), rng.random((150, 150)).round(1)

    def gains(rows: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        penalty = like[np.ix_(rows, chosen)].max(1) if len(chosen) else 0
        return worth[rows] - penalty

    chosen: list[int] = []
    for _ in range(12):
        value = gains(np.arange(150), np.array(chosen, dtype=np.int64))
        value[chosen] = -np.inf
        chosen.append(int(value.argmax()))
    assert lazy_greedy(worth, 12, gains).tolist() == chosen


def test_auto_says_what_it_does() -> None:
    made = candidates(400)
    focused = choose("auto", made, 32, question="What does she write on the board?")
    assert focused.why == ("1 relevant stretch holds 4 of 32 frames, what is around 2",)
    assert {133, 134, 135, 136, 266, 267} <= set(focused.indices.tolist())
    space = choose("auto", made, 8, question="What is the layout of the rooms?")
    assert "about space" in space.why[0] or "see most of the space" in space.why[0]
    whole = choose("auto", made, 60, question="What is the film about?")
    assert whole.why == ("an even overview of the shots",)
    assert len(set(made.shots()[whole.indices].tolist())) == 40  # every shot is seen
    flat = dataclasses.replace(made, relevance=RNG(0).normal(0.2, 0.02, 400))
    assert "nothing stands out" in choose("auto", flat, 8, question="Who sings?").why[0]


def test_an_overview_of_many_shots_shows_a_different_one_in_each_frame() -> None:
    made = candidates(400)
    found = select("auto", made, 16, asks="overview")
    assert len(set(made.shots()[found].tolist())) == 16
    assert np.diff(found).max() < 60


def test_wrong_calls_are_refused() -> None:
    made = candidates(40)
    with pytest.raises(ConfigError, match=r"no selector 'aksel'; there are aks, auto"):
        select("aksel", made, 4)
    with pytest.raises(ConfigError, match="does not take that"):
        select("aks", made, 4, depth=3)
    with pytest.raises(ValueError, match="needs features"):
        select("mdp3", dataclasses.replace(made, features=None), 4)
    with pytest.raises(ValueError, match="at least one frame"):
        select("aks", made, 0)
    with pytest.raises(ValueError, match="40 candidates were given 3 of relevance"):
        dataclasses.replace(made, relevance=np.ones(3))
    with pytest.raises(ValueError, match="ascending"):
        Candidates(np.array([1.0, 0.5]))
