"""From texts to passages, from passages to answers, from answers to citations and frames."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from videos import make_video, read_number

from videopipe import Answer, Library, ask, index
from videopipe.answer.evidence import best_time
from videopipe.answer.overview import asks_for_overview
from videopipe.answer.passages import MAX_GAP_SECONDS, MAX_WORDS, Passage, passages
from videopipe.answer.reader import choose, preferred, read
from videopipe.describe import subtitle_texts
from videopipe.errors import ConfigError, NotFound
from videopipe.evaluate import demo
from videopipe.library import load_embedder, split_document
from videopipe.scan import cut_clips
from videopipe.types import Clip, ClipText, Source, TimedText, VideoRecord

CLIP = Clip("v", 0, 0.0, 60.0)


def document(*lines: TimedText, source: Source = "subtitle", clip: Clip = CLIP) -> ClipText:
    return ClipText(clip, source, " ".join(line.text for line in lines), lines)


# --- passages ------------------------------------------------------------------------------------


def test_cues_are_joined_into_sentences() -> None:
    made = passages(
        [
            document(
                TimedText(0.2, 4.0, "This is the optical segment"),
                TimedText(4.0, 8.0, "of the telescope."),
                TimedText(8.0, 9.0, "It stands here"),
                TimedText(15.0, 16.0, "after a silence"),
            )
        ]
    )
    assert [(p.start, p.end, p.text) for p in made] == [
        (0.2, 8.0, "This is the optical segment of the telescope."),
        (8.0, 9.0, "It stands here"),
        (15.0, 16.0, "after a silence"),
    ]


def test_a_sentence_goes_on_over_a_clip_boundary() -> None:
    first, second = Clip("v", 0, 0, 10), Clip("v", 1, 10, 20)
    shared = TimedText(9.0, 11.0, "across the border")
    made = passages(
        [
            document(TimedText(7.0, 9.0, "A sentence goes"), shared, clip=first),
            document(shared, TimedText(11.0, 13.0, "and ends."), clip=second),
        ]
    )
    assert [(p.start, p.end, p.text) for p in made] == [
        (7.0, 13.0, "A sentence goes across the border and ends.")
    ]


def test_a_slide_is_one_passage_in_reading_order() -> None:
    slide = [TimedText(5, 30, "Results"), TimedText(5, 30, "Alpha 3"), TimedText(5, 30, "Beta 4")]
    made = passages([document(TimedText(5, 90, "Chapter 2"), *slide, source="ocr")])
    assert [(p.start, p.end, p.text) for p in made] == [
        (5, 30, "Chapter 2 / Results / Alpha 3 / Beta 4")
    ]


cues = st.lists(
    st.tuples(
        st.floats(0, 50), st.floats(0.1, 9), st.sampled_from(["so it goes", "The end.", "a b c d"])
    ),
    max_size=12,
)


@given(cues, st.sampled_from(["subtitle", "ocr", "facts"]))
def test_passages_keep_every_word_and_stay_in_order(
    drawn: list[tuple[float, float, str]], source: Source
) -> None:
    lines = [TimedText(start, start + length, text) for start, length, text in drawn]
    made = passages([document(*lines, source=source)])
    kept = " ".join(p.text for p in made).replace(" / ", " ").split()
    assert set(kept) == {word for line in lines for word in line.text.split()}
    assert made == sorted(made, key=lambda p: p.start)
    for passage in made:
        assert passage.end > passage.start
        assert len(passage.text.replace(" / ", " ").split()) <= MAX_WORDS + 4
        if source == "subtitle":
            inside = [x for x in lines if passage.start <= x.start <= passage.end]
            longest = max(line.end - line.start for line in inside)
            assert passage.end - passage.start <= len(inside) * (longest + MAX_GAP_SECONDS)


# --- the reader ----------------------------------------------------------------------------------


def share_of_words(query: str, texts: Sequence[str]) -> NDArray[np.float64]:
    """A score that can be computed by hand: the share of the query's words in the text."""
    words = set(query.lower().strip("?").split())
    return np.array([len(words & set(text.lower().split())) / len(words) for text in texts])


FOUND = [
    Passage("v", "subtitle", 40, 42, "the cat sleeps on the mat"),
    Passage("v", "ocr", 20, 22, "the cat eats"),
    Passage("v", "subtitle", 10, 12, "rain over the hills"),
    Passage("v", "facts", 0, 9, "the cat sleeps on the mat today"),
]


def test_the_best_passages_are_read_in_time_order() -> None:
    chosen = read("cat sleeps mat", FOUND, share_of_words, count=3, min_score=0.3)
    assert [passage.start for passage, _ in chosen] == [0, 40]
    assert [score for _, score in chosen] == [1.0, 1.0]
    assert read("cat sleeps mat", FOUND, share_of_words, count=1, min_score=0.3) == [
        (FOUND[0], 1.0)
    ]


def test_what_is_said_twice_is_cited_twice() -> None:
    orange = "a mostly orange picture"
    found = [Passage("v", "facts", start, start + 9, orange) for start in (0, 50, 90)]
    chosen = read("orange picture", found, share_of_words, count=3, min_score=0.3)
    assert [passage.start for passage, _ in chosen] == [0, 50, 90]


def test_nothing_is_read_below_the_threshold() -> None:
    assert read("purple submarine engine", FOUND, share_of_words, count=3, min_score=0.3) == []
    assert read("anything", [], share_of_words, count=3, min_score=0.3) == []


def test_the_channel_that_is_asked_for_decides_between_equals() -> None:
    question = "cat"
    assert preferred("What does he say about it?") == {"subtitle", "asr"}
    assert preferred("What is written on the sign?") == {"ocr"}
    assert "facts" in preferred("When is the picture mostly green?")
    assert preferred(question) == frozenset()
    chosen = read("which slide cat", FOUND, share_of_words, count=1, min_score=0.3)
    assert chosen[0][0].source == "ocr"


def test_a_choice_is_made_by_evidence() -> None:
    support, backing = choose("what does the cat do", ["eats", "swims"], FOUND, share_of_words)
    assert support[0] > support[1]
    assert backing[0] is FOUND[1]


@given(st.permutations(["eats", "sleeps", "swims"]))
def test_the_order_of_the_choices_does_not_matter(order: list[str]) -> None:
    support, _ = choose("what does the cat do", order, FOUND, share_of_words)
    alone = {c: choose("what does the cat do", [c], FOUND, share_of_words)[0][0] for c in order}
    assert dict(zip(order, support.tolist(), strict=True)) == pytest.approx(alone)


def test_the_sharpest_moment_is_shown() -> None:
    signals = {"times": np.arange(10.0), "sharpness": np.array([9, 1, 2, 5, 4, 1, 1, 1, 1, 8.0])}
    assert best_time(signals, 1.0, 5.0) == 3.0
    assert best_time(signals, 2.2, 2.6) == pytest.approx(2.4)


# --- from video to answer ------------------------------------------------------------------------

NARRATION = [
    TimedText(0.5, 3.0, "The lighthouse was built in 1871 by a Scottish engineer."),
    TimedText(4.0, 7.0, "Its lamp can be seen from forty kilometres away."),
    TimedText(8.0, 11.0, "Seals rest on the rocks below during the summer."),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films, one with a narration, one with another."""
    folder = tmp_path_factory.mktemp("answers")
    make_video(folder / "lighthouse.mp4", seconds=12, size=(320, 180), subtitles=NARRATION)
    bread = [TimedText(1, 4, "Knead the dough for ten minutes, then let it rest.")]
    make_video(folder / "bread.mkv", seconds=6, size=(320, 180), subtitles=bread)
    index([folder / "lighthouse.mp4"], folder / "library")
    index([folder / "bread.mkv"], folder / "library")
    return folder / "library"


def cited(answer: Answer) -> list[tuple[str, float, float]]:
    return [(c.video.name, round(c.start, 2), round(c.end, 2)) for c in answer.citations]


@pytest.mark.parametrize(
    ("question", "video", "start", "words"),
    [
        ("When was the lighthouse constructed?", "lighthouse.mp4", 0.5, "1871"),
        ("How far away is the light visible?", "lighthouse.mp4", 4.0, "forty kilometres"),
        ("Which animals lie on the rocks?", "lighthouse.mp4", 8.0, "Seals"),
        ("How long do I have to knead?", "bread.mkv", 1.0, "ten minutes"),
    ],
)
def test_questions_are_answered_with_the_right_seconds(
    library: Path, question: str, video: str, start: float, words: str
) -> None:
    answer = ask(question, library=library)
    assert answer.found
    assert (video, start) in [(name, begin) for name, begin, _ in cited(answer)]
    assert words in answer.text
    assert "[1]" in answer.text


def test_what_is_not_there_is_not_answered(library: Path) -> None:
    for question in ("Who won the election in Peru?", "What is the capital of Mongolia?"):
        answer = ask(question, library=library)
        assert not answer.found
        assert answer.citations == ()
        assert answer.text.startswith("Nothing")


def test_a_question_about_the_whole_video_gets_an_overview(library: Path) -> None:
    for question in ("What is this video about?", "Summarize it.", "What are the main topics?"):
        answer = ask(question, video="lighthouse", library=library)
        assert answer.found
        assert all(citation.source == "subtitle" for citation in answer.citations)
    for question in (
        "What did he say about the lamp?",
        "What is on the table?",
        "What does the video say about Bayes?",
        "What did it say about quartz?",
        "When is the main point of failure shown?",
        "What is the talk about entropy?",
    ):
        assert not asks_for_overview(question)


def test_a_question_to_one_video_stays_in_it(library: Path) -> None:
    answer = ask("How long do I have to knead?", video="lighthouse", library=library)
    assert all(name == "lighthouse.mp4" for name, _, _ in cited(answer))
    with pytest.raises(NotFound):
        ask("What?", video="nowhere.mp4", library=library)
    with pytest.raises(ConfigError):
        ask("What?")


def test_choices(library: Path) -> None:
    choices = ["1902", "1871", "1640"]
    answer = ask("In which year was the lighthouse built?", library=library, choices=choices)
    assert answer.choice == 1
    assert answer.text.startswith("B. 1871")
    assert ("lighthouse.mp4", 0.5, 3.0) in cited(answer)
    animals = ["walruses", "penguins", "seals", "otters"]
    answer = ask("Which animals rest on the rocks?", library=library, choices=animals)
    assert answer.choice == 2
    for wrong in (["only one"], ["a", " "]):
        with pytest.raises(ConfigError, match="two choices"):
            ask("What?", library=library, choices=wrong)


def test_the_evidence_frame_is_the_frame_of_its_time(library: Path, tmp_path: Path) -> None:
    answer = ask("How far away is the light visible?", library=library, frames=tmp_path / "f")
    (citation,) = answer.citations
    assert citation.frame is not None
    assert citation.start <= citation.frame_time < citation.end
    picture = np.asarray(Image.open(citation.frame))
    assert picture.shape == (180, 320, 3)
    assert read_number(picture) == round(citation.frame_time * 25)


def test_the_evidence_frame_is_found_without_reading_the_file_through(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library keeps the packet table."""

    def read_again(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("videopipe.media.tables._kept", OrderedDict())
    monkeypatch.setattr("videopipe.media.tables.read_table", read_again)
    answer = ask("How far away is the light visible?", library=library, frames=tmp_path / "f")
    assert answer.citations[0].frame is not None


def test_the_answer_outlives_the_video_file(tmp_path: Path) -> None:
    film = make_video(tmp_path / "gone.mp4", seconds=4, subtitles=NARRATION[:1])
    index(film, tmp_path / "library")
    film.unlink()
    answer = ask("When was it built?", library=tmp_path / "library", frames=tmp_path / "frames")
    assert answer.found
    assert answer.citations[0].frame is None
    assert "no frame for [1]" in answer.warnings[0]


def test_no_frame_is_shown_of_a_file_that_has_changed(tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mp4", seconds=4, subtitles=NARRATION[:1])
    index(film, tmp_path / "library")
    make_video(film, seconds=5)
    answer = ask("When was it built?", library=tmp_path / "library", frames=tmp_path / "frames")
    assert answer.citations[0].frame is None
    assert "has changed since" in answer.warnings[0]


def test_the_same_question_gets_the_same_answer(library: Path) -> None:
    first, second = (ask("What can be seen at the light?", library=library) for _ in range(2))
    assert {**first.to_dict(), "timing_s": {}} == {**second.to_dict(), "timing_s": {}}


def test_the_command_line_prints_answer_and_citations(videopipe: Run, library: Path) -> None:
    ran = videopipe("ask", "--library", library, "When was the lighthouse constructed?")
    assert ran.code == 0
    assert ran.err == ""
    text, citations = ran.out.split("\n\n")
    assert "1871" in text
    assert citations.startswith("[1] [0:00:00–0:00:03]  subtitle, score 0.")


def test_asking_a_new_video_indexes_it_once(videopipe: Run, tmp_path: Path) -> None:
    film = make_video(tmp_path / "new.mp4", seconds=4, subtitles=NARRATION[:1])
    ran = videopipe("ask", film, "When was the lighthouse built?", "--json")
    assert ran.code == 0
    assert "indexed" in ran.err
    document = ran.json
    assert document["schema_version"] == 1
    assert document["found"]
    assert document["citations"][0]["start_s"] == pytest.approx(0.5, abs=0.01)
    assert document["citations"][0]["video"]["path"] == str(film)
    again = videopipe("ask", film, "When was the lighthouse built?", "--json")
    assert "indexed" not in again.err
    assert again.json["citations"] == document["citations"]
    assert json.loads(ran.out)["config_hash"]


def test_search_lists_clips(videopipe: Run, library: Path) -> None:
    ran = videopipe("search", "dough", "--library", library, "--limit", 1)
    assert ran.out.startswith(" 1. [0:00:00–0:00:06]  bread.mkv  score 0.")
    found = videopipe("search", "dough", "-l", library, "--video", "lighthouse", "--json").json
    assert {hit["path"].rsplit("/")[-1] for hit in found["hits"]} == {"lighthouse.mp4"}


def test_a_library_can_be_looked_after(videopipe: Run, tmp_path: Path) -> None:
    folder = tmp_path / "library"
    for seconds, name in enumerate(("one", "two"), 2):
        index(make_video(tmp_path / f"{name}.mp4", seconds=seconds), folder)
    assert len(videopipe("library", "list", "-l", folder).out.splitlines()) == 2
    assert videopipe("library", "verify", "-l", folder).out == "no problems found\n"
    assert "removed" in videopipe("library", "remove", "one.mp4", "-l", folder).out
    assert videopipe("library", "remove", "one.mp4", "-l", folder).code == 4
    listed = videopipe("library", "list", "-l", folder, "--json").json
    assert [Path(video["path"]).name for video in listed["videos"]] == ["two.mp4"]
    assert videopipe("library", "stats", "-l", folder, "--json").json["videos"] == 1
    assert videopipe("library", "rebuild", "-l", folder).code == 0
    with Library.open(folder) as opened:
        assert opened.verify() == []


def test_an_hour_of_narration_is_answered_to_the_sentence(tmp_path: Path) -> None:
    """The narration of the demonstration video, stored as indexing stores it."""
    hour = demo._describe(tmp_path / "hour.mp4", 60)
    clips = cut_clips("hour", hour.duration, list(hour.cuts))
    texts = [
        replace(text, text=" ".join(line.text for line in lines), lines=lines)
        for text in subtitle_texts(clips, hour.narration, "en")
        for lines in split_document(text.lines)
    ]
    vectors = load_embedder().encode([text.text for text in texts])
    embedded = tuple(
        replace(text, embedding=vector) for text, vector in zip(texts, vectors, strict=True)
    )
    times = np.arange(hour.duration)
    signals = {"times": times, "sharpness": np.ones(len(times))}
    record = VideoRecord(
        "hour", hour.path, 0, 0, {"duration_s": 3600.0}, "", tuple(clips), embedded, signals
    )
    with Library.open(tmp_path / "library", create=True) as opened:
        opened.put(record)
        asked = (*hour.questions, *hour.more_questions)
        told = [question for question in asked if question.channel == "narration"]
        assert len(told) == 11
        for question in told:
            answer = ask(question.question, library=opened)
            assert any(
                start - 0.1 <= citation.start and citation.end <= end + 0.1
                for citation in answer.citations
                for start, end in question.intervals
            ), question.question
            assert question.answer.casefold() in answer.text.casefold()
        refused = [not ask(q.question, library=opened).found for q in asked if not q.intervals]
        assert refused.count(True) >= 4  # one of the five is a hard one
