"""Retrieval: the Goldfish ranking, the words, and whether real questions find their clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from library_kit import WORD_SUM, record

from videopipe.errors import ConfigError
from videopipe.library import (
    PACKAGED,
    Library,
    load_embedder,
    merge_by_clip,
    rank_documents,
    split_document,
)
from videopipe.library.lexical import index_terms, query_terms
from videopipe.library.retrieve import Query
from videopipe.library.vectors import VectorIndex
from videopipe.types import TimedText

ORACLE = np.load(Path(__file__).parent / "oracles" / "goldfish.npz")
A, B = "a" * 32, "b" * 32


def _case(number: int) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    start = f"case{number}/"
    return {key.removeprefix(start): ORACLE[key] for key in ORACLE.files if key.startswith(start)}


@pytest.mark.parametrize("number", range(3))
def test_the_ranking_is_that_of_goldfish(number: int) -> None:
    case = _case(number)
    ranking, clips, k = case["out/ranking"], case["in/clip"], len(case["out/ranking"])
    order, cosines = rank_documents(case["in/vectors"], case["in/query"])
    np.testing.assert_allclose(cosines, case["out/scores"], atol=1e-5)
    np.testing.assert_array_equal(order[:k], ranking)
    assert set(clips[order[:k]]) == set(case["out/clips"])
    # Ours goes on until there are k clips.
    merged = merge_by_clip(clips[order].tolist(), k)
    assert len(merged) == min(k, len(set(clips.tolist())))
    assert merged[: len(case["out/clips"])] == list(dict.fromkeys(clips[ranking].tolist()))


@pytest.mark.parametrize("number", range(3))
def test_faiss_ranks_as_goldfish(number: int, tmp_path: Path) -> None:
    case = _case(number)
    vectors, query = case["in/vectors"], case["in/query"]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    index = VectorIndex(tmp_path / "vectors.faiss", bytes(16), unit.shape[1])
    index._index.add_with_ids(unit, np.arange(len(unit)))
    ids, cosines = index.search(query / np.linalg.norm(query), len(unit))
    k = len(case["out/ranking"])
    np.testing.assert_array_equal(ids[:k], case["out/ranking"])
    np.testing.assert_allclose(cosines, case["out/scores"][ids], atol=1e-5)


VALUES = st.floats(0, 1, allow_nan=False)


@given(arrays(np.float64, 2, elements=VALUES), arrays(np.float64, 2, elements=VALUES))
def test_the_score_grows_with_either_channel(
    cosines: np.ndarray,  # type: ignore[type-arg]
    covered: np.ndarray,  # type: ignore[type-arg]
) -> None:
    query = Query("", np.zeros(1, np.float32), noise=0.1)
    low, high = query.score(np.sort(cosines), np.sort(covered))
    assert 0 <= low <= high <= 1


def test_k_counts_clips(tmp_path: Path) -> None:
    talk = [{"subtitle": ["red pump"] * 30, "ocr": ["red pump"] * 30}] * 2
    other = [{"subtitle": f"pump number {i}"} for i in range(6)]
    with Library.open(tmp_path / "library", create=True) as library:
        library.put(record(A, tmp_path / "a.mp4", talk), WORD_SUM.name)
        library.put(record(B, tmp_path / "b.mp4", other), WORD_SUM.name)
        hits = library.search("red pump", 5, embedder=WORD_SUM)
        assert [(h.clip.video_id, h.clip.index) for h in hits[:2]] == [(A, 0), (A, 1)]
        assert [h.clip.video_id for h in hits[2:]] == [B] * 3
        assert len(hits[0].matches) == 60
        assert len(library.search("red pump", 100, embedder=WORD_SUM)) == 8
        for hit in hits:
            assert hit.score == hit.matches[0].score == max(m.score for m in hit.matches)


def test_equal_clips_come_in_the_order_of_time_however_stored(tmp_path: Path) -> None:
    same = [{"facts": "camera still"}] * 40
    for folder, order in (("one", (A, B)), ("two", (B, A))):
        with Library.open(tmp_path / folder, create=True) as library:
            for video_id in order:
                library.put(record(video_id, tmp_path / video_id, same), WORD_SUM.name)
            for query in ("camera", "none of the words"):
                hits = library.search(query, 3, embedder=WORD_SUM)
                assert [(h.clip.video_id, h.clip.index) for h in hits] == [(A, 0), (A, 1), (A, 2)]


def test_filters_apply_inside_the_search(tmp_path: Path) -> None:
    many = [{"subtitle": "the red pump"}] * 100
    few = [{"subtitle": "a river", "ocr": "a page"}, {"ocr": "red paint"}]
    with Library.open(tmp_path / "library", create=True) as library:
        library.put(record(A, tmp_path / "a.mp4", many), WORD_SUM.name)
        library.put(record(B, tmp_path / "b.mp4", few), WORD_SUM.name)

        def found(**filters: list[str]) -> list[tuple[str, int]]:
            hits = library.search("red pump", 3, embedder=WORD_SUM, **filters)  # type: ignore[arg-type]
            assert all(
                match.source in filters.get("sources", [match.source])
                for hit in hits
                for match in hit.matches
            )
            return [(hit.clip.video_id, hit.clip.index) for hit in hits]

        assert found() == [(A, 0), (A, 1), (A, 2)]
        assert sorted(found(videos=[B])) == [(B, 0), (B, 1)]
        assert sorted(found(sources=["ocr"])) == [(B, 0), (B, 1)]
        assert found(videos=[B], sources=["subtitle"]) == [(B, 0)]
        assert found(videos=["c" * 32]) == []
        assert found(sources=["caption"]) == []
        assert found(videos=[]) == []


def test_empty(tmp_path: Path) -> None:
    with Library.open(tmp_path / "library", create=True) as library:
        assert library.search("anything", 5) == []
        for query in ("", "  \n"):
            with pytest.raises(ConfigError, match="query is empty"):
                library.search(query, 5)
        library.put(record(A, tmp_path / "silent.mp4", [{}]), WORD_SUM.name)
        assert library.search("anything", 5) == []
        library.put(record(A, tmp_path / "silent.mp4", [{"ocr": "word"}]), WORD_SUM.name)
        assert len(library.search("?!", 5, embedder=WORD_SUM)) == 1
        with pytest.raises(ConfigError, match="word-sum"):
            library.search("word", 5, embedder=load_embedder())


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Model KX-4417 Rev. C", "kx4417"),
        ("Model KX4417", "KX 4417"),
        ("WelcometoAustin", "austin"),
        ("YouTube", "youtube"),
        ("München Hbf", "MUNCHEN"),
        ("ﬁnal ＡＢＣ", "final abc"),
        ("l'été à Paris", "ete"),
        ("望远镜的主镜", "主镜"),
        ("望远镜", "镜"),
        ("宇宙望遠鏡", "望遠鏡"),
        ("กล้องโทรทรรศน์อวกาศ", "อวกาศ"),
        ("تلسكوب الفَضاء", "الفضاء"),
        ("दूरबीन का दर्पण", "दर्पण"),
        ("٢٠٢٤", "2024"),
        ("우주망원경의 거울", "망원경"),
        ("İstanbul", "istanbul"),
    ],
)
def test_words_are_found_in_any_script(text: str, query: str) -> None:
    terms = query_terms(query)
    assert terms
    assert set(terms) <= index_terms(text)


@given(st.text(max_size=40))
def test_any_text_is_found_by_itself(text: str) -> None:
    assert set(query_terms(text)) <= index_terms(text)
    assert not [term for term in index_terms(text) if not term.strip() or " " in term]


def _words(text: str) -> list[str]:
    return text.replace("望", " 望 ").replace("远", " 远 ").replace("镜", " 镜 ").split()


LINES = st.lists(
    st.lists(st.sampled_from(("word", "KX-4417", "望远镜", "a")), max_size=40).map(" ".join),
    max_size=12,
).map(lambda texts: [TimedText(float(i), i + 1.0, text) for i, text in enumerate(texts)])


@given(LINES, st.integers(3, 50))
def test_documents_are_cut_evenly_between_lines(lines: list[TimedText], limit: int) -> None:
    groups = split_document(lines, limit)
    parts = [part for group in groups for part in group]
    assert "".join("".join(p.text.split()) for p in parts) == "".join(
        "".join(line.text.split()) for line in lines
    )
    for group in groups:
        assert sum(len(_words(part.text)) for part in group) <= limit
    for part in parts:
        line = lines[int(part.start)]
        assert (part.start, part.end) == (line.start, line.end)
        assert part == line or len(_words(line.text)) > limit


def test_the_last_part_of_a_document_is_no_stub() -> None:
    lines = [TimedText(float(i), i + 1.0, "ten words " * 5) for i in range(13)]
    assert [len(group) for group in split_document(lines, 120)] == [7, 6]
    assert split_document([], 120) == []


WEBB, PUMP, ONION, ENTROPY, ERROR, INVOICE, LOGIN, DRONE, CHESS, TRAIN, BEES, ES, RU, ZH, AR = (
    range(15)
)
CLIPS = (
    {
        "subtitle": "This is the optical and science segment of the Webb space telescope in one of "
        "the largest cleanrooms in the world. It successfully completed its vibration and acoustic "
        "tests. Its primary mirror is made of eighteen gold coated hexagonal segments and measures "
        "twenty one feet across.",
        "facts": "Natural picture, mostly grey and yellow, bright. The camera moves slowly.",
    },
    {
        "subtitle": "So the next thing is the coolant pump. You can hear it is running rough. I "
        "would bleed the line and then check the bearing, because mostly it is worn.",
        "ocr": "Maintenance manual Model KX-4417 Rev. C Coolant pump Replace bearing every 2000 "
        "hours Torque 35 Nm",
    },
    {
        "subtitle": "Now we chop the onions very finely and put them into the hot pan with a "
        "little butter. Let them go golden, this takes about ten minutes.",
        "facts": "Natural picture, mostly brown and white. One face. The camera is still.",
    },
    {
        "subtitle": "We define the entropy of a random variable as minus the sum of p log p. You "
        "can think of it as the average surprise.",
        "ocr": "Lecture 3 Information theory H(X) = - sum p(x) log p(x) Shannon 1948",
    },
    {
        "ocr": "404 Page not found The page you are looking for was moved Return to home page",
        "facts": "Screen-like picture, mostly white and blue. Still camera.",
    },
    {
        "ocr": "Invoice No. 2024-00817 Due date 15 March Total EUR 1,249.50",
        "subtitle": "Open the billing tab and you see the last bill we sent out. You can download "
        "it as a PDF or send a reminder to the customer.",
    },
    {
        "ocr": "Sign in Email Password Forgot your password? Create account",
        "subtitle": "If you forget your credentials, click the link underneath the form and we "
        "will send you a mail so that you can choose a new one.",
    },
    {
        "subtitle": "From up here you can see the whole valley, the river winding through the "
        "vineyards and the old castle. In autumn the leaves turn red and gold.",
        "facts": "Natural picture, mostly green and blue. The camera moves fast. No people.",
    },
    {
        "subtitle": "White sacrifices the bishop on h7, the king has to take, and after knight g5 "
        "check black is already lost.",
        "ocr": "Round 5 Carlsen 1 - 0 Nepomniachtchi Board 1",
    },
    {
        "ocr": "Platform 9 ICE 593 München Hbf 10:28 delayed approx. 15 min",
        "subtitle": "The train to Munich will arrive about a quarter of an hour late. Sorry!",
    },
    {
        "subtitle": "A colony holds up to sixty thousand bees in summer. The queen lays as many as "
        "two thousand eggs a day, while the workers gather nectar and guard the hive."
    },
    {"subtitle": "El cohete despegó a las seis de la mañana y todos los motores funcionan."},
    {"subtitle": "Главное зеркало телескопа состоит из восемнадцати позолоченных сегментов."},
    {"subtitle": "火箭在早上六点发射升空，所有发动机工作正常。"},
    {"subtitle": "انطلق الصاروخ في السادسة صباحا وجميع المحركات تعمل"},
)
QUESTIONS = (
    ("How large is the mirror of the telescope?", WEBB),
    ("Where was the telescope tested?", WEBB),
    ("Why is the pump making noise?", PUMP),
    ("How often does the bearing have to be replaced?", PUMP),
    ("How long do you fry the onions?", ONION),
    ("What is the measure of average surprise?", ENTROPY),
    ("How can I send a payment reminder?", INVOICE),
    ("What do I do when I lost my password?", LOGIN),
    ("What colour are the leaves in autumn?", DRONE),
    ("Which piece is sacrificed?", CHESS),
    ("How late is the train?", TRAIN),
    ("How many eggs does a queen lay?", BEES),
)
READABLE = (
    ("KX-4417", PUMP),
    ("kx4417 torque", PUMP),
    ("What does the screen say about KX-4417?", PUMP),
    ("page not found", ERROR),
    ("2024-00817", INVOICE),
    ("Forgot your password?", LOGIN),
    ("Carlsen Nepomniachtchi", CHESS),
    ("Munchen Hbf", TRAIN),
    ("Shannon 1948", ENTROPY),
)
OTHER_LANGUAGES = (
    ("¿Cuándo despegó el cohete?", ES),
    ("Из чего состоит зеркало телескопа?", RU),
    ("火箭什么时候发射？", ZH),
    ("متى انطلق الصاروخ؟", AR),
)
UNRELATED = (
    "What is the capital of Mongolia?",
    "Who wrote Don Quixote?",
    "Which team won the football world cup in 1998?",
    "What is the boiling point of mercury?",
    "When was the Berlin wall built?",
    "How do I knit a scarf?",
    "ZX-9000",
    "HTTP 503 Service Unavailable",
    "谁写了红楼梦？",
    "ما هي عاصمة منغوليا؟",
    "¿Quién escribió Don Quijote?",
    "Кто написал Войну и мир?",
    "เมืองหลวงของมองโกเลียคืออะไร",
)


def test_questions_and_words_find_their_clip_and_others_score_low(tmp_path: Path) -> None:
    embedder = load_embedder()
    with Library.open(tmp_path / "library", create=True) as library:
        library.put(record(A, tmp_path / "talks.mp4", CLIPS, embedder), PACKAGED)
        for question, clip in (*QUESTIONS, *READABLE, *OTHER_LANGUAGES):
            hit = library.search(question, 1)[0]
            assert hit.clip.index == clip, question
            assert hit.score > 0.3, question
            (match, *_) = hit.matches
            alone = library.relevance(question, [match.text], embedder)
            np.testing.assert_allclose(alone, hit.score, atol=1e-5)
        for question in UNRELATED:
            assert library.search(question, 1)[0].score < 0.3, question
