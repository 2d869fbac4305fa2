"""Each native back end shows the right frames or says that it cannot, and harms nobody else."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from videos import draw_number, make_video, read_number

from videopipe.cli import doctor
from videopipe.errors import ConfigError, MediaError, TimeLimit
from videopipe.media import fetch, probe
from videopipe.media.backends import BACKENDS, check, open_decoder
from videopipe.media.backends.child import ChildDecoder
from videopipe.media.decoder import Shown
from videopipe.media.packets import SHOWN
from videopipe.media.tables import packet_table

COUNT = 52
SIZE = (96, 64)
OPEN_GOP = {"bframes": 3, "options": {"x264-params": "open-gop=1"}}
X265 = {"codec": "libx265", "bframes": 4}
CLIPS: dict[str, tuple[str, dict[str, Any]]] = {
    "h264": ("a.mp4", {"bframes": 3}),
    "late": ("a.mkv", {"bframes": 2, "first_pts": 0.3}),
    "ntsc": ("a.mkv", {"rate": Fraction(30000, 1001), "seconds": COUNT * 1001 / 30000}),
    "vfr": (
        "a.mp4",
        {"bframes": 2, "times": np.cumsum(np.tile([0.02, 0.05, 0.3], 18))[:COUNT].tolist()},
    ),
    "gap": ("a.mkv", {"times": [i / 25 + 20 * (i >= 24) for i in range(COUNT)]}),
    "hevc": ("a.mp4", X265 | {"options": {"x265-params": "log-level=none:open-gop=0"}}),
    "vp9": ("a.webm", {"codec": "libvpx-vp9"}),
    "av1": ("a.mp4", {"codec": "libsvtav1"}),
    "sar": ("a.mkv", {"options": {"x264-params": "sar=4/3"}}),
    "edited": ("a.mp4", {"gop": 100}),
    "open-gop": ("a.mp4", OPEN_GOP),
    "hevc-open-gop": ("a.mkv", X265 | {"options": {"x265-params": "log-level=none:open-gop=1"}}),
    "open-gop-ts": ("a.ts", OPEN_GOP),
    "ts": ("a.ts", {"bframes": 3}),
    "mpeg2": ("a.mpg", {"codec": "mpeg2video", "bframes": 2}),
}
EDITED = 25  # the first frame of that clip which its edit list shows
REFUSED = {
    "decord": {"av1", "edited", "open-gop", "hevc-open-gop", "open-gop-ts", "ts", "mpeg2"},
    "torchcodec": {"open-gop", "open-gop-ts", "ts", "mpeg2"},
    "opencv": {"mpeg2"},
}


@cache
def reason_against(name: str) -> str | None:
    return check(name)


@pytest.fixture(params=["decord", "opencv", "torchcodec"])
def back_end(request: pytest.FixtureRequest) -> str:
    """Those that work here, each in turn."""
    if reason := reason_against(request.param):
        pytest.skip(reason)
    return str(request.param)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The clip of a name, made once."""

    @cache
    def clip(name: str) -> Path:
        file, options = CLIPS[name]
        path = tmp_path_factory.mktemp(name) / file
        make_video(path, **{"seconds": COUNT / 25, "gop": 12, "size": SIZE} | options)
        if name == "edited":
            data = bytearray(path.read_bytes())
            media_time = data.index(b"elst") + 4 + 12
            data[media_time : media_time + 4] = (EDITED * 512).to_bytes(4, "big")
            path.write_bytes(data)
        return path

    return clip


def opened(name: str, path: Path, deadline: float | None = 60) -> ChildDecoder:
    return open_decoder(name, path, probe(path), packet_table(path), threads=1, deadline=deadline)


def displayed(path: Path) -> tuple[list[int], list[int]]:
    """The packets of all displayed frames in decode order, and the number drawn into each."""
    table = packet_table(path)
    packets = np.flatnonzero(table.flags & SHOWN)
    hidden = EDITED if "edited" in str(path) else 0
    return packets.tolist(), (table.ranks(packets) + hidden).tolist()


def numbers(decoder: ChildDecoder, packets: Sequence[int]) -> dict[int, int | None]:
    """What is read from the frames of ``packets``, asked for in small and in full size."""
    full = 3 * SIZE[0] // 2, SIZE[1]
    shown: list[Shown] = list(decoder.pictures([(p, ((64, 48), full)) for p in packets]))
    found: dict[int, int | None] = {}
    for packet, pictures in shown:
        found[packet] = None
        if pictures is not None:
            assert [p.shape for p in pictures] == [(48, 64, 3), (full[1], full[0], 3)]
            assert len({read_number(picture) for picture in pictures}) == 1
            found[packet] = read_number(pictures[0])
    assert len(shown) == len(found) == len(packets)
    return found


@pytest.mark.parametrize("name", CLIPS)
def test_right_frames_or_a_refusal(back_end: str, name: str, clips: Callable[[str], Path]) -> None:
    """In order, and a few at a time from anywhere."""
    path = clips(name)
    packets, truth = displayed(path)
    mixed = np.random.default_rng(1).permutation(packets)
    pieces = [packets, *(sorted(piece.tolist()) for piece in np.array_split(mixed, 6))]
    seen: list[dict[int, int | None]] = []
    refusal = ""
    try:
        with opened(back_end, path) as decoder:
            seen += (numbers(decoder, piece) for piece in pieces)
    except MediaError as error:
        refusal = str(error)
    expected = dict(zip(packets, truth, strict=True))
    for piece in seen:
        assert piece == {packet: expected[packet] for packet in piece}
    if name in REFUSED[back_end]:
        assert refusal.startswith(f"{path}: {back_end} ")
        assert refusal.endswith("; use decode.backend=pyav.")
    else:
        assert not refusal


def test_frames_come_in_display_order(back_end: str, clips: Callable[[str], Path]) -> None:
    packets, truth = displayed(clips("h264"))
    assert truth != sorted(truth)
    with opened(back_end, clips("h264")) as decoder:
        order = [packet for packet, _ in decoder.pictures([(p, (SIZE,)) for p in packets])]
    assert order == [packet for _, packet in sorted(zip(truth, packets, strict=True))]


def test_far_apart(back_end: str, tmp_path: Path) -> None:
    """Where a back end seeks rather than reads on."""
    path = make_video(tmp_path / "a.mp4", seconds=40, size=(64, 48), gop=50, bframes=2)
    packets, truth = displayed(path)
    number = dict(zip(packets, truth, strict=True))
    with opened(back_end, path) as decoder:
        for piece in ([3, 420, 777], [990], [10, 999]):
            shown = decoder.pictures([(packet, ((64, 48),)) for packet in piece])
            assert {p: read_number(pictures[0]) for p, pictures in shown if pictures} == {
                packet: number[packet] for packet in piece
            }


TURNS = {
    "quarter": (0, 1, -1, 0),
    "half": (-1, 0, 0, -1),
    "three quarters": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "upside down": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
}


@pytest.mark.parametrize("turn", TURNS)
def test_pictures_are_turned_as_they_should_be_seen(
    back_end: str, turn: str, tmp_path: Path
) -> None:
    """By the same display matrix of the file as the default back end, at every size."""
    path = make_video(tmp_path / "a.mp4", seconds=0.2, size=(160, 96))
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value * 65536 for value in TURNS[turn])
    for place, value in enumerate((a, b, 0, c, d)):
        data[matrix + 4 * place : matrix + 4 * place + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    info = probe(path)
    full, half = (info.width, info.height), (info.width // 2, info.height // 2)
    with opened(back_end, path) as decoder:
        for sizes in ((half,), (full, half)):
            expected = fetch(info, [3.5 / 25] * len(sizes), [(h, w) for w, h in sizes]).frames
            ((_, shown),) = decoder.pictures([(3, sizes)])
            assert shown
            for ours, theirs in zip(expected, shown, strict=True):
                assert ours.shape == theirs.shape
                assert np.abs(ours.astype(int) - theirs).mean() < 8


def test_another_of_several_video_streams(back_end: str, tmp_path: Path) -> None:
    """The stream of the table, or none: not the first one, nor the largest one."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, side in zip(streams, (128, 64), strict=True):
            stream.width = stream.height = side
            stream.pix_fmt = "yuv420p"
        streams[0].disposition, streams[1].disposition = 0, 1  # the second is the default
        for number in range(10):
            for stream, shift in zip(streams, (0, 100), strict=True):
                picture = draw_number(number + shift, stream.width, stream.height)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame.reformat(format="yuv420p")))
        for stream in streams:
            container.mux(stream.encode(None))
    assert probe(path).width == 64
    packets, truth = displayed(path)
    with suppress(MediaError), opened(back_end, path) as decoder:
        assert numbers(decoder, packets) == dict(
            zip(packets, (100 + n for n in truth), strict=True)
        )
        return
    assert back_end != "torchcodec"


OTHER_PIXELS = {
    "pq": ("transfer=smpte2084", "does not tone-map HDR video"),
    "hlg": ("transfer=arib-std-b67", "does not tone-map HDR video"),
    "interlaced": ("tff=1", "does not weave the fields of interlaced video"),
}


@pytest.mark.parametrize("kind", OTHER_PIXELS)
def test_what_would_look_different_is_refused(back_end: str, kind: str, tmp_path: Path) -> None:
    parameters, what = OTHER_PIXELS[kind]
    path = make_video(tmp_path / "a.mp4", seconds=0.2, options={"x264-params": parameters})
    with pytest.raises(MediaError) as raised:
        opened(back_end, path)
    assert str(raised.value) == f"{path}: {back_end} {what}; use decode.backend=pyav."


def test_damage_hides_no_more_than_its_group_and_shows_no_other_frame(
    back_end: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """And what native code says of it does not reach the terminal."""
    noise = np.random.default_rng(0)

    def noisy(index: int, _: float) -> np.ndarray:
        grain = noise.integers(-20, 20, (96, 160, 3))
        return np.clip(draw_number(index, 160, 96) + grain, 0, 255).astype(np.uint8)

    path = make_video(tmp_path / "a.mp4", seconds=4, size=(160, 96), gop=20, draw=noisy)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        place = [packet.pos for packet in container.demux(video=0)][45]
    data[place + 4 : place + 400] = bytes(396)
    path.write_bytes(data)
    packets, truth = displayed(path)
    with opened(back_end, path) as decoder:
        seen = numbers(decoder, packets)
    assert all(seen[packet] in (None, truth[packet]) for packet in packets)
    lost = [packet for packet in packets if seen[packet] is None]
    assert 45 in lost
    assert min(lost) >= 20  # decord reads ahead: an error may come before its frame
    assert max(lost) < 60
    assert capfd.readouterr() == ("", "")


def is_gone(pid: int) -> bool:
    """Ended, and no zombie either."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_killed_child_is_one_error(back_end: str, clips: Callable[[str], Path]) -> None:
    path = clips("h264")
    packets, _ = displayed(path)
    wanted = [(packet, ((640, 480),)) for packet in packets]
    with opened(back_end, path) as decoder:
        shown = decoder.pictures(wanted)
        next(shown)
        pid = decoder.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(MediaError) as raised:
            list(shown)
        assert str(raised.value) == (
            f"{path}: {back_end} died of SIGKILL while decoding; use decode.backend=pyav."
        )
        assert is_gone(pid)
        assert numbers(decoder, [0]) == {0: 0}  # by another child


def test_a_child_that_hangs_is_ended_at_the_deadline(
    back_end: str, clips: Callable[[str], Path]
) -> None:
    path = clips("h264")
    packets, _ = displayed(path)
    with opened(back_end, path, deadline=1.5) as decoder:
        shown = decoder.pictures([(packet, ((640, 480),)) for packet in packets])
        next(shown)
        pid = decoder.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(TimeLimit) as raised:
            list(shown)
        assert str(raised.value) == (
            f"{path}: {back_end} showed no frame for 1.5 s and was stopped; "
            "raise decode.deadline_seconds or use decode.backend=pyav."
        )
        assert is_gone(pid)


def test_no_child_is_left_behind(back_end: str, clips: Callable[[str], Path]) -> None:
    """Neither by a decoder that is closed nor by frames that nobody takes any more."""
    path = clips("h264")
    packets, _ = displayed(path)
    files = len(list(Path("/dev/fd").iterdir()))
    with opened(back_end, path) as decoder:
        shown = decoder.pictures([(packet, (SIZE,)) for packet in packets])
        next(shown)
        abandoned = decoder.pid
        shown.close()
        assert numbers(decoder, [7])[7] is not None
        closed = decoder.pid
    assert abandoned is not None
    assert closed is not None
    assert abandoned != closed
    assert is_gone(abandoned)
    assert is_gone(closed)
    assert len(list(Path("/dev/fd").iterdir())) == files


def _read_in_a_worker(path: Path) -> None:
    with opened("opencv", path) as decoder:
        sys.exit(0 if numbers(decoder, [0]) == {0: 0} else 1)


def test_workers_of_a_pool_have_children_too(clips: Callable[[str], Path]) -> None:
    context = multiprocessing.get_context("spawn")
    worker = context.Process(target=_read_in_a_worker, args=(clips("h264"),), daemon=True)
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0


def test_a_program_that_just_ends(clips: Callable[[str], Path]) -> None:
    """Without a guard around its main part, and without closing anything."""
    program = f"""
from pathlib import Path
from test_backends import opened
decoder = opened("opencv", Path({str(clips("h264"))!r}))
print(next(decoder.pictures([(i, ((640, 480),)) for i in range({COUNT})]))[0])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "0\n", "")


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> None:
    """Modules found before the real ones, here and in child processes."""
    for name, code in modules.items():
        place = folder / "modules" / name.replace("__", "/")
        place.mkdir(parents=True, exist_ok=True)
        (place / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(folder / "modules")


BROKEN = {
    "raise ModuleNotFoundError(\"No module named 'decord'\", name='decord')": (
        "decord is not installed; pip install 'videopipe[decord]'"
    ),
    "raise OSError('libdecord.so: no such file')": (
        "decord cannot be imported (OSError: libdecord.so: no such file); install it again"
    ),
    "import os; os.abort()": "decord died of SIGABRT while it was loaded; install it again",
    "import os; os.kill(os.getpid(), 40)": (  # a real-time signal, which has no name
        "decord died of signal 40 while it was loaded; install it again"
    ),
    "import os; os._exit(3)": "decord died of exit 3 while it was loaded; install it again",
}


@pytest.mark.parametrize("code", BROKEN, ids=["missing", "broken", "dying", "nameless", "leaving"])
def test_a_back_end_that_does_not_work_here(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clips: Callable[[str], Path]
) -> None:
    stand_in(tmp_path, monkeypatch, decord=code)
    assert check("decord") == f"{BROKEN[code]}."
    with opened("decord", clips("h264")) as decoder, pytest.raises(ConfigError) as raised:
        next(decoder.pictures([(0, (SIZE,))]))
    assert str(raised.value) == f"{BROKEN[code]}, or use decode.backend=pyav."


def test_a_child_that_is_silent_but_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videopipe.media.backends.child._LET_GO", 0.5)
    silent = "import os, sys, time; os.close(int(sys.argv[1])); time.sleep(60)"
    stand_in(tmp_path, monkeypatch, decord=silent)
    assert check("decord") == "decord died of SIGKILL while it was loaded; install it again."


def test_opencv_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = "raise ModuleNotFoundError(\"No module named 'cv2'\", name='cv2')"
    stand_in(tmp_path, monkeypatch, cv2=missing)
    assert check("opencv") == "opencv is not installed; pip install 'opencv-python>=4.10,<5'."


GPU = """
def set_num_threads(count): pass
class cuda:
    is_available = staticmethod(lambda: True)
"""
GPU_DECODER = """
from types import SimpleNamespace
import numpy
class Picture(numpy.ndarray):
    cpu = numpy = lambda self: self
class VideoDecoder:
    metadata = SimpleNamespace(begin_stream_seconds=0.0)
    def __init__(self, *_, device, **__):
        self.device = device
        if device == {refused!r}:
            raise RuntimeError("there is no such device")
    def __len__(self):
        return {count}
    def get_frame_at(self, rank):
        if self.device == "cuda" and rank >= {fails}:
            raise RuntimeError("the device has failed")
        picture = numpy.full((64, 96, 3), 50 + rank, numpy.uint8).view(Picture)
        return SimpleNamespace(pts_seconds=rank / 25, data=picture)
"""


@pytest.mark.parametrize(
    ("refused", "fails", "devices"),
    [("", COUNT, ["cuda"] * 3), ("", 1, ["cuda", "cpu", "cpu"]), ("cuda", 0, ["cpu"] * 3)],
    ids=["works", "fails", "refused"],
)
def test_trouble_of_the_gpu_is_no_damage(
    refused: str,
    fails: int,
    devices: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clips: Callable[[str], Path],
) -> None:
    code = GPU_DECODER.format(refused=refused, count=COUNT, fails=fails)
    stand_in(tmp_path, monkeypatch, torch=GPU, torchcodec="", torchcodec__decoders=code)
    packets, truth = displayed(clips("h264"))
    wanted = [(packets[truth.index(rank)], (SIZE,)) for rank in range(3)]
    seen = []
    with opened("torchcodec", clips("h264")) as decoder:
        for rank, (_, pictures) in enumerate(decoder.pictures(wanted)):
            assert pictures
            assert (pictures[0] == 50 + rank).all()
            seen.append(decoder.device)
    assert seen == devices


def test_torchcodec_without_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "raise RuntimeError('Could not load libtorchcodec. Likely causes:\\n 1. ...')"
    stand_in(tmp_path, monkeypatch, torchcodec="", torchcodec__decoders=page)
    reason = check("torchcodec")
    assert reason == "torchcodec finds no shared libraries of FFmpeg 4 to 8; install ffmpeg."


def test_native_code_that_hangs_ends_with_its_parent(tmp_path: Path) -> None:
    """It holds the interpreter's lock: no Python of ours can run in the child any more."""
    lock = tmp_path / "lock"
    hang = f"""
import fcntl, re
fcntl.flock(open({str(lock)!r}, "w"), fcntl.LOCK_EX)
held = open({str(lock)!r}, "w")
fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
re.match("(a+)+$", "a" * 90 + "b")
"""
    folder = tmp_path / "modules" / "decord"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(hang)
    program = "from videopipe.media.backends import check; check('decord')"
    environment = os.environ | {
        "PYTHONPATH": f"{folder.parent}{os.pathsep}{os.environ['PYTHONPATH']}"
    }
    parent = subprocess.Popen([sys.executable, "-c", program], env=environment)
    with lock.open("w") as file:
        wait_until(lambda: not is_free(file))
        parent.kill()
        parent.wait()
        wait_until(lambda: is_free(file))


def is_free(file: Any) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_doctor_tries_the_back_ends(back_end: str) -> None:
    found = doctor._back_end(back_end)
    assert (found.name, found.status, found.fix) == (back_end, "ok", "")
    assert re.search(" decodes on (cpu|cuda)$", found.found)


def test_doctor_says_how_to_get_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = doctor._back_end("decord")
    assert (found.status, found.fix) == ("ok", "pip install 'videopipe[decord]'")
    assert doctor._back_end("opencv").fix == "pip install 'opencv-python>=4.10,<5'"
    monkeypatch.undo()
    stand_in(tmp_path, monkeypatch, decord="raise OSError('a library is not there')")
    found = doctor._back_end("decord")
    assert (found.status, found.found) == (
        "warn",
        "decord cannot be imported (OSError: a library is not there); install it again, "
        "or use decode.backend=pyav.",
    )


def test_every_name_is_known() -> None:
    assert BACKENDS == ("pyav", "decord", "torchcodec", "opencv")
    assert check("pyav") is None
