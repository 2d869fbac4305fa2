"""Timed text as people write it, from files beside the video and tracks inside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from videos import make_video

from videopipe.errors import NotFound
from videopipe.media import find_subtitles, probe, read_subtitles
from videopipe.media.cues import cleaned, decoded, parse
from videopipe.types import SubtitleTrack, TimedText

SUBS = Path(__file__).parents[2] / "shared" / "media" / "subs"
MEDIA = SUBS.parent


def read(text: str, format: str = "srt") -> list[TimedText]:
    return cleaned(parse(text, format))


def line(start: float, end: float, text: str) -> TimedText:
    return TimedText(pytest.approx(start), pytest.approx(end), text)


@pytest.mark.parametrize(
    ("timing", "start", "end"),
    [
        ("00:00:01,000 --> 00:00:02,500", 1, 2.5),
        ("00:00:5,000 --> 00:00:6,000", 5, 6),
        ("00:00:00,1 --> 00:00:04", 0.1, 4),
        ("01:02.250 --> 01:03.5 align:start position:0%", 62.25, 63.5),
        ("0:0:1.0-->0:0:2.0", 1, 2),
        ("120:00:00,000 --> 120:00:01,000", 432000, 432001),
        ("00:00:03:500 -> 00:00:04:500", 3.5, 4.5),
        ("-00:00:01,000 --> 00:00:02,000", 0, 2),
        ("00:00:05,000 -->", 5, 9),
        ("00:00:05,000 --> 00:00:01,000", 5, 9),
    ],
)
def test_times(timing: str, start: float, end: float) -> None:
    assert read(f"1\n{timing}\nHello\n") == [line(start, end, "Hello")]


def test_missing_end_lasts_to_the_next_line() -> None:
    text = "00:00:01,000 -->\nA\n\n00:00:02,000 --> 00:00:03,000\nB\n"
    assert read(text) == [line(1, 2, "A"), line(2, 3, "B")]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("<v Ada Lovelace>Hello</v>", "Ada Lovelace: Hello"),
        ("<v.loud Ada>Hi</v>\n<v Bob>Yo</v>", "Ada: Hi Bob: Yo"),
        ('<font color="#fff">red <b>dot</b></font>', "red dot"),
        ("{\\an8}up there", "up there"),
        ("a &lt;video&gt; &amp; b", "a <video> & b"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("I <3 C:\\New", "I <3 C:\\New"),
        ("<00:00:01.000>one <00:00:02.000><c>two</c>", "one two"),
        ("<ruby>私<rt>わたし</rt></ruby>たち", "私たち"),
        ("cafe\u0301", "café"),
        ("two\nlines", "two lines"),
        ("\u202bright\u202c to left\ufeff", "right to left"),
    ],
)
def test_text(written: str, shown: str) -> None:
    assert read(f"1\n00:00:01,000 --> 00:00:02,000\n{written}\n") == [line(1, 2, shown)]


def test_srt_text_with_empty_lines_and_digits() -> None:
    text = (
        "1\n00:00:01,000 --> 00:00:02,000\nFirst\n\nsecond\n42\n\n2\n00:00:03,0 --> 00:00:04,0\n7\n"
    )
    assert [cue.text for cue in read(text)] == ["First second 42", "7"]


def test_vtt_leaves_out_what_is_not_a_cue() -> None:
    text = (
        "WEBVTT - a title\nkind: captions\n\nSTYLE\n::cue { color: red }\n\n"
        "NOTE\n00:01.000 --> 00:02.000\nnot said\n\n"
        "MALFORMED -->\nnot a cue\n\nid\n00:03.000 --> 00:04.000 line:0\nsaid\n\nstray\n"
    )
    assert read(text, "vtt") == [line(3, 4, "said")]


def test_ass() -> None:
    text = (
        "[Script Info]\nTitle: x\n\n[Events]\n"
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        "Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,no\n"
        "Dialogue: 0,0:00:01.50,0:00:02.00,Default,,0,0,0,,{\\i1}One, two{\\i0}\\Nthree\n"
        "Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,{\\p1}m 0 0 l 1 1{\\p0}\n"
    )
    assert read(text, "ass") == [line(1.5, 2, "One, two three")]


def test_rolling_captions_say_each_line_once() -> None:
    text = (
        "WEBVTT\n\n00:00.000 --> 00:02.000\n \nso<00:01.000><c> today</c>\n\n"
        "00:02.000 --> 00:02.010\nso today\n \n\n"
        "00:02.010 --> 00:04.000\nso today\nwe look\n\n"
        "00:04.000 --> 00:04.010\nwe look\n\n"
        "00:04.010 --> 00:06.000\nwe look\nat bees\n\n"
        "00:30.000 --> 00:31.000\nat bees\n"
    )
    assert read(text, "vtt") == [
        line(0, 2.01, "so today"),
        line(2.01, 4.01, "we look"),
        line(4.01, 6, "at bees"),
        line(30, 31, "at bees"),
    ]


def test_growing_caption_is_one_line() -> None:
    text = "".join(
        f"00:00:0{k},000 --> 00:00:0{k + 1},000\n{words}\n\n"
        for k, words in enumerate(["we", "we look", "we look up"])
    )
    assert read(text) == [line(0, 3, "we look up")]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]
)
def test_encodings(encoding: str) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\nDéjà vu, naïve garçon\n"
    assert read(decoded(text.encode(encoding))) == [line(1, 2, "Déjà vu, naïve garçon")]


def test_chinese_national_encoding() -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\n望远镜在洁净室里\n"
    assert decoded(text.encode("gbk")) == text


@given(st.text(max_size=300), st.sampled_from(["srt", "vtt", "ass"]))
def test_no_text_breaks_the_parser(text: str, format: str) -> None:
    lines = read(f"00:00:01,000 --> 00:00:02,000\n{text}", format)
    assert lines == sorted(lines, key=lambda cue: (cue.start, cue.end))
    assert all(0 <= cue.start < cue.end and cue.text for cue in lines)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_decoding(data: bytes) -> None:
    assert isinstance(decoded(data), str)


def test_files_beside_a_video(tmp_path: Path) -> None:
    video = make_video(tmp_path / "movie.mp4", seconds=0.2)
    make_video(tmp_path / "movie.part2.mp4", seconds=0.2)
    names = ["movie.srt", "movie.en.forced.srt", "movie.descriptions.vtt", "movie.pt_BR.ASS"]
    for name in [*names, "movie.part2.srt", "movies.srt", "movie.txt"]:
        (tmp_path / name).write_text("1\n00:00:01,000 --> 00:00:02,000\nHi\n")
    found = {t.path.name: (t.format, t.language, t.title) for t in find_subtitles(video)}
    assert found == {
        "movie.srt": ("srt", None, None),
        "movie.en.forced.srt": ("srt", "en", "forced"),
        "movie.descriptions.vtt": ("vtt", None, "descriptions"),
        "movie.pt_BR.ASS": ("ass", "pt-BR", None),
    }
    assert find_subtitles(video)[0].path.name == "movie.srt"
    assert probe(video).subtitles == find_subtitles(video)
    gone = SubtitleTrack(tmp_path / "gone.srt", None, "srt")
    with pytest.raises(NotFound, match=r"gone\.srt"):
        read_subtitles(gone, probe(video))


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm"])
@pytest.mark.parametrize("first_pts", [0.0, 0.3])
def test_embedded_tracks_count_from_the_first_frame(
    tmp_path: Path, name: str, first_pts: float
) -> None:
    said = [TimedText(0.5, 1.2, "hello"), TimedText(1.5, 1.9, "wörld")]
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = make_video(tmp_path / name, codec=codec, subtitles=said, first_pts=first_pts)
    info = probe(path)
    (track,) = info.subtitles
    assert track.stream is not None
    assert info.start == pytest.approx(first_pts)
    assert read_subtitles(track, info) == [line(0.5, 1.2, "hello"), line(1.5, 1.9, "wörld")]


@pytest.mark.media
@pytest.mark.skipif(not SUBS.is_dir(), reason="the shared media folder is not there")
@pytest.mark.parametrize(
    ("name", "count", "second"),
    [
        ("mediaelement_loose.srt", 15, "But browser vendors couldn't agree on a codec"),
        ("moviepy_loose_timestamps.srt", 5, "More Red!"),
        ("moviepy_unicode.srt", 1, None),
        ("sintel_en.vtt", 14, "This blade has a dark past."),
        ("ableplayer_wwa_en.vtt", 15, "Narrator: You want these people."),
        ("ableplayer_deadline_hi.vtt", 15, "लड़के: थोड़ी देर बाद"),
        ("captionator_arduino_en.vtt", 27, None),
        ("captionator_acid.vtt", 1144, "Test 1: Unicode Support"),
        ("elephantsdream_ar.vtt", 77, "...إلى اليمين يمكن أن نرى الـ"),
        ("elephantsdream_ja.vtt", 77, "右に見えるのは…"),
        ("elephantsdream_chapters_en.vtt", 9, "Switchboard trap"),
    ],
)
def test_real_files(name: str, count: int, second: str | None) -> None:
    path = SUBS / name
    lines = read(decoded(path.read_bytes()), path.suffix[1:])
    assert len(lines) == count
    assert second is None or lines[1].text == unicode_form(second)


@pytest.mark.media
@pytest.mark.skipif(not MEDIA.is_dir(), reason="the shared media folder is not there")
def test_real_embedded_track_agrees_with_its_extract() -> None:
    info = probe(MEDIA / "tc_nasa13013.mp4")
    inside, _, beside = (read_subtitles(track, info) for track in info.subtitles)
    assert [cue.text for cue in inside] == [cue.text for cue in beside]
    assert [cue.start for cue in inside] == pytest.approx([cue.start for cue in beside], abs=1e-3)


def unicode_form(text: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFC", text)
