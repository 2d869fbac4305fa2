"""The store: what is put in comes out, whole or not at all, whatever happens."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from library_kit import WORD_SUM, exhaustive, record, snapshot

from videopipe.errors import ConfigError, LibraryError, LibraryVersion, NotFound
from videopipe.library import Library, rows, schema
from videopipe.types import VideoRecord

A, B = "a" * 32, "b" * 32
ONE = [{"subtitle": "the red pump", "ocr": ["KX-4417", "torque"]}, {"facts": "mostly grey"}]
TWO = [{"subtitle": "a blue valley and a river"}]


def put(library: Library, made: VideoRecord) -> None:
    library.put(made, WORD_SUM.name)


def found(library: Library, query: str, k: int = 5) -> list[tuple[str, int]]:
    hits = library.search(query, k, embedder=WORD_SUM)
    return [(hit.clip.video_id, hit.clip.index) for hit in hits]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A library of two videos, closed."""
    with Library.open(tmp_path / "library", create=True) as library:
        put(library, record(A, tmp_path / "one.mp4", ONE))
        put(library, record(B, tmp_path / "two.mp4", TWO))
        library.flush()
    return tmp_path / "library"


def test_what_is_put_comes_out(tmp_path: Path) -> None:
    file = tmp_path / "talk.mp4"
    file.write_bytes(b"12345")
    made = record(A, file, ONE)
    with Library.open(tmp_path / "library", create=True) as library:
        assert library.embedder is None
        put(library, made)
    with Library.open(tmp_path / "library") as library:
        (video,) = library.videos()
        assert (video.video_id, video.path, video.name) == (A, file, "talk.mp4")
        assert (video.size, video.mtime_ns) == (5, file.stat().st_mtime_ns)
        assert (video.duration, video.clips, video.texts) == (20.0, 2, 4)
        assert (video.info, video.warnings) == (made.info, made.warnings)
        assert video.stage_seconds == {"scan": 1.5}
        assert library.clips(A) == list(made.clips)
        texts = library.texts(made.clips)
        assert texts == list(made.texts)
        for text, original in zip(texts, made.texts, strict=True):
            np.testing.assert_array_equal(text.embedding, original.embedding)
        signals = library.signals(A)
        assert list(signals) == ["hash", "none", "times"]
        for name, array in made.signals.items():
            np.testing.assert_array_equal(signals[name], array)
            assert (signals[name].dtype, signals[name].shape) == (array.dtype, array.shape)
        stats = library.stats()
        assert (stats.videos, stats.clips, stats.texts) == (1, 2, 4)
        assert stats.sources == {"facts": 1, "ocr": 2, "subtitle": 1}
        assert (stats.duration, stats.embedder, stats.dimension) == (20.0, "word-sum", 24)
        assert library.verify() == []


def test_put_replaces_the_id_and_the_path(folder: Path, tmp_path: Path) -> None:
    with Library.open(folder) as library:
        put(library, record(A, tmp_path / "two.mp4", TWO, config_hash="other"))
        (video,) = library.videos()
        assert (video.video_id, video.path) == (A, tmp_path / "two.mp4")
        assert video.config_hash == "other"
        assert found(library, "KX-4417") == [(A, 0)]
        assert library.search("KX-4417", 1, embedder=WORD_SUM)[0].matches[0].coverage == 0
        assert library.verify() == []


def test_remove_forgets_all(folder: Path) -> None:
    with Library.open(folder) as library:
        library.remove(A)
        assert found(library, "red pump") == [(B, 0)]
        assert library.clips(A) == []
        assert library.signals(A) == {}
        with pytest.raises(NotFound, match="holds no video"):
            library.remove(A)
        library.remove(B)
        assert library.search("red pump", 3, embedder=WORD_SUM) == []
        assert library.stats().texts == 0


def test_find(folder: Path, tmp_path: Path) -> None:
    with Library.open(folder) as library:
        put(library, record("c" * 32, tmp_path / "deeper" / "two.mp4", TWO))
        for key in (tmp_path / "one.mp4", "one.mp4", "one", A, "aaaa", "AAAA"):
            video = library.find(key)
            assert video is not None
            assert video.video_id == A
        assert library.find("three.mp4") is None
        assert library.find("") is None
        assert library.get(B).video_id == B
        with pytest.raises(NotFound, match=r"holds no video 'three.mp4'"):
            library.get("three.mp4")
        with pytest.raises(ConfigError, match="fits several videos"):
            library.find("two.mp4")


def test_a_moved_file_is_known_again(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.mp4"
    moved.write_bytes(b"video")
    status = moved.stat()
    with Library.open(folder) as library:
        library.remember_places({A: moved})
        video = library.get(A)
        assert video.path == moved
        assert (video.size, video.mtime_ns) == (status.st_size, status.st_mtime_ns)
        assert library.find("one.mp4") is None
        assert found(library, "red pump")[0] == (A, 0)


def test_any_file_name(tmp_path: Path) -> None:
    name = os.fsdecode("Vidéo 'ä' – 视频 ".encode() + b"\xff\xfe.mp4")
    path = tmp_path / name
    path.write_bytes(b"video")
    with Library.open(tmp_path / os.fsdecode(b"lib %41 \xff?#"), create=True) as library:
        put(library, record(A, path, ONE))
        assert library.get(name).path == path
        assert library.verify() == []


def test_an_embedder_is_remembered(folder: Path, tmp_path: Path) -> None:
    with Library.open(folder) as library:
        assert library.embedder == WORD_SUM.name
        library.require_embedder(WORD_SUM.name)
        with pytest.raises(ConfigError, match=r"made with the embedder word-sum, not other"):
            library.put(record("c" * 32, tmp_path / "three.mp4", TWO), "other")
        assert len(library.videos()) == 2
        short = record("c" * 32, tmp_path / "three.mp4", TWO)
        texts = tuple(replace(t, embedding=np.ones(3, np.float32)) for t in short.texts)
        with pytest.raises(ValueError, match="dimension 24"):
            put(library, replace(short, texts=texts))
        assert len(library.videos()) == 2


WORDS = ("red", "pump", "river", "valley", "KX-4417", "torque", "the", "望远镜", "grey", "page")
DOCUMENT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
CLIPS = st.lists(
    st.dictionaries(st.sampled_from(("subtitle", "ocr", "facts")), DOCUMENT), min_size=1, max_size=3
)
STEP = st.one_of(
    st.tuples(st.just("put"), st.sampled_from("abcd"), CLIPS),
    st.tuples(st.just("remove"), st.sampled_from("abcd"), st.none()),
    st.tuples(st.sampled_from(("reopen", "flush", "search", "rebuild")), st.none(), st.none()),
)


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(STEP, max_size=10), query=DOCUMENT, k=st.integers(1, 4))
def test_search_is_exhaustive_after_any_history(steps: list, query: str, k: int) -> None:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as where:
        path = Path(where) / "library"
        library = Library.open(path, create=True)
        held: dict[str, VideoRecord] = {}
        for kind, name, clips in steps:
            if kind == "put":
                held[name] = record(name * 32, Path(where) / f"{name}.mp4", clips)
                put(library, held[name])
            elif kind == "remove" and name in held:
                library.remove(held.pop(name).video_id)
            elif kind == "reopen":
                library.close()
                library = Library.open(path)
            elif kind in ("flush", "rebuild"):
                getattr(library, kind)()
            elif kind == "search":
                library.search("river", 1, embedder=WORD_SUM)
        hits = library.search(query, k, embedder=WORD_SUM)
        wanted = exhaustive(library, query, k)
        assert [hit.clip for hit in hits] == [clip for clip, _ in wanted]
        np.testing.assert_allclose([h.score for h in hits], [s for _, s in wanted], atol=1e-9)
        assert sorted(held) == sorted(v.video_id[0] for v in library.videos())
        assert not [line for line in library.verify() if "not at" not in line]
        library.close()


def test_a_put_that_fails_leaves_no_trace(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Library.open(folder) as library:
        before = snapshot(library)
        insert, calls = rows._insert, []

        def failing(*args: object) -> int:
            calls.append(args)
            if len(calls) == 5:
                raise KeyboardInterrupt
            return insert(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(rows, "_insert", failing)
        with pytest.raises(KeyboardInterrupt):
            put(library, record(A, tmp_path / "two.mp4", TWO * 3))
        monkeypatch.undo()
        assert snapshot(library) == before
        assert found(library, "KX-4417")[0] == (A, 0)
        put(library, record(A, tmp_path / "one.mp4", TWO))
        assert found(library, "KX-4417") == [(A, 0), (B, 0)]


KILLED = """
import os, signal, sys
from pathlib import Path
from library_kit import WORD_SUM, record
from videopipe.library import Library, rows

folder, at = Path(sys.argv[1]), int(sys.argv[2])
insert, calls = rows._insert, []
def killing(*args):
    calls.append(args)
    if len(calls) == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return insert(*args)
rows._insert = killing
texts = [{"subtitle": "a new text " * 400}] * 300
with Library.open(folder, create=True) as library:
    library._db.execute("PRAGMA cache_size = 5")  # spills into the log before the end
    library.put(record("a" * 32, folder.parent / "two.mp4", texts), WORD_SUM.name)
"""


@pytest.mark.parametrize("at", [2, 600])
def test_a_killed_put_leaves_no_trace(folder: Path, at: int) -> None:
    with Library.open(folder) as library:
        before = snapshot(library)
    ran = subprocess.run([sys.executable, "-c", KILLED, folder, str(at)])
    assert ran.returncode == -signal.SIGKILL
    assert (folder / "library.db-wal").stat().st_size > (0 if at == 2 else 100_000)
    with Library.open(folder) as library:
        assert snapshot(library) == before
        assert found(library, "KX-4417")[0] == (A, 0)
        assert not [line for line in library.verify() if "not at" not in line]


def test_what_is_not_a_library(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no library at"):
        Library.open(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    for create in (False, True):
        with pytest.raises(NotFound, match="is not a videopipe library"):
            Library.open(tmp_path / "photos", create=create)
    assert [file.name for file in (tmp_path / "photos").iterdir()] == ["cat.jpg"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="is not a videopipe library"):
        Library.open(tmp_path / "empty")
    with pytest.raises(NotFound, match="is a file"):
        Library.open(tmp_path / "photos" / "cat.jpg", create=True)
    foreign = sqlite3.connect(tmp_path / "empty" / "library.db")
    foreign.execute("CREATE TABLE notes (text)")
    foreign.commit()
    foreign.close()
    for create in (False, True):
        with pytest.raises(NotFound, match="is not a videopipe library"):
            Library.open(tmp_path / "empty", create=create)


def test_a_library_whose_making_was_killed_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "library.db").touch()
    with pytest.raises(NotFound, match="is not a videopipe library"):
        Library.open(tmp_path)
    with Library.open(tmp_path, create=True) as library:
        put(library, record(A, tmp_path / "one.mp4", ONE))
        assert found(library, "KX-4417")[0] == (A, 0)


def test_who_made_a_text_is_kept(tmp_path: Path) -> None:
    made = record(A, tmp_path / "talk.mp4", [{"asr": "the red pump", "caption": "a pump"}])
    models = ("openai/whisper-small", "Qwen/Qwen3-VL-2B-Instruct")
    named = tuple(replace(t, model=m) for t, m in zip(made.texts, models, strict=True))
    with Library.open(tmp_path / "library", create=True) as library:
        put(library, replace(made, texts=named))
        assert [text.model for text in library.texts(made.clips)] == list(models)
        (hit,) = library.search("red pump", 1, embedder=WORD_SUM, sources=["asr"])
        assert [match.document.model for match in hit.matches] == [models[0]]
        assert library.stats().sources == {"asr": 1, "caption": 1}


def to_format_1(folder: Path) -> None:
    """Make the library what it would be if it had been written before texts named a model."""
    with closing(sqlite3.connect(folder / "library.db")) as db:
        db.execute("ALTER TABLE texts DROP COLUMN model")
        db.execute("PRAGMA user_version = 1")


def test_a_library_of_format_1_becomes_format_2(folder: Path, tmp_path: Path) -> None:
    with Library.open(folder) as library:
        before = snapshot(library)
    to_format_1(folder)
    for _ in range(2):
        with Library.open(folder) as library:
            assert snapshot(library) == before
            assert found(library, "KX-4417")[0] == (A, 0)
            assert {t.model for t in library.texts(library.clips(A))} == {None}
            assert library.verify() == []
    made = record("c" * 32, tmp_path / "three.mp4", [{"asr": "a new pump"}])
    with Library.open(folder) as library:
        put(library, replace(made, texts=(replace(made.texts[0], model="ears"),)))
        assert [t.model for t in library.texts(made.clips)] == ["ears"]
    with (
        closing(sqlite3.connect(folder / "library.db")) as db,
        closing(sqlite3.connect(":memory:")) as new,
    ):
        assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        for statement in schema._TABLES:
            new.execute(statement)
        columns = "SELECT name, type FROM pragma_table_info('texts')"
        assert db.execute(columns).fetchall() == new.execute(columns).fetchall()


def test_many_may_bring_a_library_to_format_2_at_once(folder: Path) -> None:
    to_format_1(folder)
    barrier = threading.Barrier(4)
    texts: list[int] = []

    def open_it() -> None:
        barrier.wait()
        with Library.open(folder) as library:
            texts.append(library.stats().texts)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [5] * 4


def test_a_library_that_cannot_be_brought_to_format_2_is_as_it_was(folder: Path) -> None:
    to_format_1(folder)
    file = folder / "library.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(schema, "BUSY_SECONDS", 0.05)
            with pytest.raises(LibraryError, match="being written by another process"):
                Library.open(folder)
        other.execute("ROLLBACK")
        assert other.execute("PRAGMA user_version").fetchone() == (1,)
        names = [row[1] for row in other.execute("PRAGMA table_info(texts)")]
        assert "model" not in names


def test_a_library_of_format_1_that_may_only_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Library.open(folder) as library:
        before = snapshot(library)
    to_format_1(folder)
    content = (folder / "library.db").read_bytes()
    monkeypatch.setattr(schema, "_writable", lambda path: False)
    with Library.open(folder) as library:
        assert snapshot(library) == before
        assert found(library, "KX-4417")[0] == (A, 0)
        assert library.search("red pump", 1, embedder=WORD_SUM)[0].matches[0].document.model is None
        assert library.verify() == []
        with pytest.raises(LibraryError, match="cannot be written"):
            library.remove(A)
    assert (folder / "library.db").read_bytes() == content


@pytest.mark.parametrize(("version", "word"), [(99, "newer"), (0, "older")])
def test_another_version(folder: Path, version: int, word: str) -> None:
    db = sqlite3.connect(folder / "library.db")
    db.execute(f"PRAGMA user_version = {version}")
    db.close()
    with pytest.raises(LibraryVersion, match=f"written by a(n)? {word}"):
        Library.open(folder)


def test_a_damaged_database_is_named(folder: Path) -> None:
    file = folder / "library.db"
    content = file.read_bytes()
    file.write_bytes(b"no database at all " * 400)
    with pytest.raises(LibraryError, match="is damaged"):
        Library.open(folder)
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(LibraryError, match="is damaged"), Library.open(folder) as library:
        snapshot(library)
    page = 4096
    torn = bytearray(content)
    for start in range(page, len(torn), page):
        torn[start : start + 16] = b"\xff" * 16
    file.write_bytes(torn)
    with pytest.raises(LibraryError, match="is damaged"), Library.open(folder) as library:
        snapshot(library)


def test_a_full_disk_while_storing(folder: Path, tmp_path: Path) -> None:
    with Library.open(folder) as library:
        before = snapshot(library)
        pages = library._db.execute("PRAGMA page_count").fetchone()[0]
        library._db.execute(f"PRAGMA max_page_count = {pages + 3}")
        with pytest.raises(LibraryError, match=r"disk .* is full"):
            put(library, record("c" * 32, tmp_path / "three.mp4", TWO * 200))
        assert snapshot(library) == before
        library._db.execute("PRAGMA max_page_count = 100000")
        put(library, record("c" * 32, tmp_path / "three.mp4", TWO))
        assert len(library.videos()) == 3


def test_a_full_disk_while_writing_the_vector_index(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = (folder / "vectors.faiss").read_bytes()
    with Library.open(folder) as library:
        put(library, record("c" * 32, tmp_path / "three.mp4", TWO))
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(LibraryError, match=r"disk .* is full"):
            library.flush()
        assert ("c" * 32, 0) in found(library, "river")  # searching goes on without the file
        monkeypatch.undo()
        assert (folder / "vectors.faiss").read_bytes() == before
        assert sorted(p.name for p in folder.glob("vectors*")) == ["vectors.faiss"]
        library.flush()
        assert (folder / "vectors.faiss").read_bytes() != before


def _truncated(content: bytes) -> bytes | None:
    return content[:-100]


def _flipped(content: bytes) -> bytes | None:
    return content[:300] + bytes([content[300] ^ 1]) + content[301:]


def _absent(content: bytes) -> bytes | None:
    return None


def _tiny(content: bytes) -> bytes | None:
    return b"FAISS"


@pytest.mark.parametrize("harm", [_truncated, _flipped, _absent, _tiny])
def test_a_bad_vector_index_is_made_again(
    folder: Path, harm: Callable[[bytes], bytes | None]
) -> None:
    file = folder / "vectors.faiss"
    good = file.read_bytes()
    bad = harm(good)
    file.unlink()
    if bad is not None:
        file.write_bytes(bad)
    with Library.open(folder) as library:
        damaged = any("vector index is damaged" in line for line in library.verify())
        assert damaged == (bad is not None)
        assert found(library, "valley river")[0] == (B, 0)
        assert file.read_bytes() == good


def test_a_vector_index_of_another_library_is_not_believed(folder: Path, tmp_path: Path) -> None:
    with Library.open(tmp_path / "other", create=True) as other:
        put(other, record(A, tmp_path / "one.mp4", TWO))
        put(other, record(B, tmp_path / "two.mp4", ONE))
        other.flush()
    (folder / "vectors.faiss").write_bytes((tmp_path / "other" / "vectors.faiss").read_bytes())
    with Library.open(folder) as library:
        assert found(library, "valley river")[0] == (B, 0)


def test_verify_finds_what_disagrees(folder: Path) -> None:
    db = sqlite3.connect(folder / "library.db")
    db.execute("DELETE FROM clips WHERE number = 1")  # foreign keys are off here
    db.execute("UPDATE texts SET embedding = zeroblob(96) WHERE id = 1")
    db.execute("INSERT INTO words (words) VALUES ('delete-all')")
    db.commit()
    db.close()
    with Library.open(folder) as library:
        problems = "\n".join(library.verify())
        assert "lost its row of clips" in problems
        assert "word index disagrees with 5 texts" in problems
        assert "Text 1 has a damaged vector" in problems
        library.rebuild()
        assert "word index" not in "\n".join(library.verify())


def test_readers_read_while_one_writes(folder: Path, tmp_path: Path) -> None:
    with Library.open(folder) as writer, Library.open(folder) as reader:
        with writer._writing():
            writer._db.execute("UPDATE videos SET config_hash = 'new'")
            assert reader.get(A).config_hash == "settings"
            assert found(reader, "KX-4417")[0] == (A, 0)
        assert reader.get(A).config_hash == "new"
        put(writer, record("c" * 32, tmp_path / "three.mp4", [{"ocr": "ZZ-9"}]))
        assert found(reader, "ZZ-9")[0] == ("c" * 32, 0)


def test_a_second_writer_waits_then_is_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, release = threading.Event(), threading.Event()

    def hold() -> None:
        with Library.open(folder) as first, first._writing():
            started.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    started.wait(30)
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.1)
    with (
        Library.open(folder) as second,
        pytest.raises(LibraryError, match="being written by another process"),
    ):
        second.remove(A)
    monkeypatch.undo()
    with Library.open(folder) as third:
        threading.Timer(0.3, release.set).start()
        third.remove(A)
        assert [video.video_id for video in third.videos()] == [B]
    thread.join()


@contextmanager
def _unprivileged() -> Iterator[None]:
    """Permissions do not stop root."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_library_is_read() -> None:
    with tempfile.TemporaryDirectory() as where:
        place = Path(where)
        folder = place / "library"
        with Library.open(folder, create=True) as library:
            put(library, record(A, place / "one.mp4", ONE))
        for path in (place, folder, *folder.iterdir()):
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            with _unprivileged(), Library.open(folder) as library:
                assert found(library, "KX-4417")[0] == (A, 0)
                assert library.stats().videos == 1
                assert library.verify() == []
                with pytest.raises(LibraryError, match="cannot be written"):
                    library.remove(A)
            folder.chmod(0o000)
            with _unprivileged(), pytest.raises(LibraryError, match="permission"):
                Library.open(folder)
        finally:
            with suppress(OSError):
                place.chmod(0o755)
                folder.chmod(0o755)


def test_every_text_is_scored_with_its_span(folder: Path) -> None:
    with Library.open(folder) as library:
        scores = library.scores("the red pump", WORD_SUM)
        assert len(scores) == 5
        assert [score.video_id for score in scores] == [A] * 4 + [B]
        assert [(score.start, score.end) for score in scores if score.clip == 1] == [(10.0, 20.0)]
        only = library.scores("the red pump", WORD_SUM, videos=[B])
        assert [score.video_id for score in only] == [B]
        best = max(scores, key=lambda score: score.score)
        assert (best.video_id, best.clip) == (A, 0)
        (hit,) = library.search("the red pump", 1, embedder=WORD_SUM)
        assert best.score == hit.score
    with Library.open(folder.parent / "empty", create=True) as library:
        assert library.scores("the red pump", WORD_SUM) == []


def test_signals_are_added_beside_those_that_are_there(folder: Path) -> None:
    with Library.open(folder) as library:
        vectors = np.arange(6, dtype=np.float16).reshape(2, 3)
        library.add_signals(A, {"vectors": vectors}, {"encoder": "a"})
        library.add_signals(A, {"vectors": vectors + 1}, {"encoder": "b"})
        assert set(library.signals(A)) == {"hash", "none", "times", "vectors"}
        assert library.signals(A, ["vectors", "nothing"])["vectors"].tolist() == [
            [1, 2, 3],
            [4, 5, 6],
        ]
        assert list(library.signals(A, ["times"])) == ["times"]
        assert library.get(A).info["encoder"] == "b"
        assert library.get(A).info["codec"] == "h264"
        assert library.verify() == []
        with pytest.raises(NotFound, match="holds no video"):
            library.add_signals("c" * 32, {"vectors": vectors}, {})
