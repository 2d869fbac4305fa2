"""Pictures have the colours, the shape and the turn that FFmpeg and the standards say."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.filter import Graph
from av.video.format import names as format_names
from numpy.typing import NDArray
from videos import draw_number, make_video, read_number

from videopipe.media import fetch, probe
from videopipe.media.picture import Painter, Turn, displayed, fitted

ORACLE = json.loads((Path(__file__).parent / "oracles" / "pixels.json").read_text())
LIMITED, FULL = 1, 2  # AVCOL_RANGE_*
UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED, AVCOL_TRC_UNSPECIFIED
PQ, HLG = 16, 18  # AVCOL_TRC_*
BT709, BT601, BT2020 = 1, 6, 9  # AVCOL_SPC_*
WEIGHTS = {  # of red and blue in the luma: ITU-R BT.709, 601 and 2020, FCC, SMPTE 240M
    BT709: (0.2126, 0.0722),
    5: (0.299, 0.114),
    BT601: (0.299, 0.114),
    BT2020: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
    4: (0.30, 0.11),
    7: (0.212, 0.087),
}
COLOURS = np.array([*product((0, 255), repeat=3), [200, 100, 50], [30, 90, 160], [128, 128, 128]])


def luma_chroma(
    rgb: NDArray[Any], matrix: int, full: bool = False, bits: int = 8
) -> NDArray[np.uint16]:
    """``[..., 3]`` Y, Cb and Cr of ``bits`` for RGB of 0 to 255."""
    kr, kb = WEIGHTS[matrix]
    red, green, blue = np.moveaxis(rgb / 255, -1, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    parts = np.stack([luma, (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)], -1)
    top = 2**bits - 1
    step = 2 ** (bits - 8)
    size, zero = ([top] * 3, 0) if full else (np.array([219, 224, 224]) * step, 16 * step)
    return np.clip(np.round(parts * size + [zero, 128 * step, 128 * step]), 0, top).astype(
        np.uint16
    )


def new_frame(
    planes: list[NDArray[Any]],
    format: str,
    matrix: int = UNTAGGED,
    colour_range: int = 0,
    transfer: int = UNTAGGED,
) -> av.VideoFrame:
    """A frame of the samples in ``planes``, each ``[H, W]``; the first has its size."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, format)
    for plane, samples in zip(frame.planes, planes, strict=True):
        kind = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
        rows = np.frombuffer(plane, kind).reshape(plane.height, -1)
        rows[:, : samples.shape[1]] = samples
    frame.colorspace, frame.color_range, frame.color_trc = matrix, colour_range, transfer
    return frame


def patches(
    colours: NDArray[Any], format: str, matrix: int, full: bool = False, tagged: int | None = None
) -> av.VideoFrame:
    """A frame of a row of squares of 16 pixels, one for each of ``colours`` ``[n, 3]``."""
    kind = av.VideoFormat(format, 16 * len(colours), 16)
    values = luma_chroma(colours, matrix, full, kind.components[0].bits)
    planes = [
        np.repeat(values[:, i], part.width // len(colours))[None].repeat(part.height, 0)
        for i, part in enumerate(kind.components[:3])
    ]
    planes += [np.zeros((16, 16 * len(colours)))] * (len(kind.components) - 3)  # transparent
    return new_frame(
        planes, format, matrix if tagged is None else tagged, FULL if full else LIMITED
    )


def centres(picture: NDArray[np.uint8]) -> NDArray[np.int_]:
    """``[n, 3]`` colours in the middle of the squares of ``patches``, at any size."""
    step = 16 * picture.shape[0] // 16
    return picture[picture.shape[0] // 2, step // 2 :: step].astype(int)


def paint(frame: av.VideoFrame, size: tuple[int, int] | None = None) -> NDArray[np.int_]:
    return Painter().paint(frame, size or (frame.width, frame.height)).astype(int)


def converted(
    samples: NDArray[np.uint8], format: str, given: str = "rgb24", **options: Any
) -> av.VideoFrame:
    """A frame of ``format`` from an array; with several threads swscale's output is not certain."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(samples), format=given)
    return frame.reformat(format=format, threads=1, **options)


def smooth(width: int, height: int) -> NDArray[np.uint8]:
    row, column = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)
    waves = [np.sin(9 * row + 5 * column), np.cos(7 * column - row), np.sin(11 * column * row)]
    return np.stack([120 + 110 * wave for wave in waves], -1).astype(np.uint8)


def area(samples: NDArray[Any], width: int, height: int) -> NDArray[np.float64]:
    """``samples`` ``[H, W, 3]`` averaged over exactly the area of each pixel of a smaller size."""

    def weights(old: int, new: int) -> NDArray[np.float64]:
        edges = np.arange(new + 1)[:, None] * old / new
        covered = np.clip(edges - np.arange(old), 0, 1)
        return (covered[1:] - covered[:-1]) * new / old

    rows, columns = weights(samples.shape[0], height), weights(samples.shape[1], width)
    return np.stack([rows @ channel @ columns.T for channel in np.moveaxis(samples, -1, 0)], -1)


# Matrix and range


@pytest.mark.parametrize("name", ORACLE["sdr"]["rgb"])
def test_matrix_and_range_as_in_ffmpeg(name: str) -> None:
    matrix, colour_range = name.split()
    yuv = np.array(ORACLE["sdr"]["yuv"][colour_range], np.uint8)
    frame = new_frame(
        [yuv[None, :, i] for i in range(3)],
        "yuv444p",
        {"170m": BT601, "709": BT709, "2020_ncl": BT2020}[matrix],
        {"limited": LIMITED, "full": FULL}[colour_range],
    )
    assert np.abs(paint(frame)[0] - ORACLE["sdr"]["rgb"][name]).max() <= 1


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("bits", ["", "10le", "12le"])
@pytest.mark.parametrize("format", ["yuv420p", "yuv422p", "yuv440p", "yuv444p", "yuva444p"])
def test_patches_by_the_formula(format: str, bits: str, matrix: int, full: bool) -> None:
    frame = patches(COLOURS, format + bits, matrix, full)
    assert np.abs(centres(paint(frame)) - COLOURS).max() <= 2
    assert np.abs(centres(paint(frame, (frame.width // 2, 8))) - COLOURS).max() <= 2


def test_full_range_by_the_format_alone() -> None:
    frame = patches(COLOURS, "yuvj420p", BT601, full=True)
    frame.color_range = 0
    assert np.abs(centres(paint(frame)) - COLOURS).max() <= 2


def test_untagged_range_is_limited() -> None:
    frame = patches(COLOURS, "yuv420p", BT601)
    frame.color_range = 0
    assert np.abs(centres(paint(frame)) - COLOURS).max() <= 2


@pytest.mark.parametrize(
    ("size", "matrix"),
    [
        ((720, 576), BT601),
        ((640, 480), BT601),
        ((1280, 720), BT709),
        ((1280, 536), BT709),  # a wide film
        ((608, 1080), BT709),  # a telephone held upright
    ],
)
@pytest.mark.parametrize("tag", [UNTAGGED, 0, 3, 8, 14, 200])
def test_without_a_usable_matrix_the_size_tells(
    size: tuple[int, int], matrix: int, tag: int
) -> None:
    width, height = size
    for colour in COLOURS:
        y, u, v = luma_chroma(colour, matrix)
        chroma = np.ones((height // 2, width // 2))
        frame = new_frame([np.full((height, width), y), u * chroma, v * chroma], "yuv420p", tag)
        assert np.abs(paint(frame, (2, 2))[0, 0] - colour).max() <= 2


@pytest.mark.parametrize(
    ("suffix", "codec", "format", "options"),
    [
        (".mp4", "libx264", "yuv420p", {"qp": "1"}),
        (".ts", "libx264", "yuv420p", {"qp": "1"}),
        (".mkv", "libx265", "yuv420p10le", {"x265-params": "log-level=none:qp=4"}),
        (".webm", "libvpx-vp9", "yuv444p", {"crf": "4", "b": "0"}),
        (".mkv", "ffv1", "yuv422p", {}),  # tagged by the container alone
    ],
)
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [BT601, BT709, BT2020])
def test_tags_of_files(
    tmp_path: Path,
    suffix: str,
    codec: str,
    format: str,
    options: dict[str, str],
    matrix: int,
    full: bool,
) -> None:
    path = tmp_path / f"a{suffix}"
    write(path, [patches(COLOURS, format, matrix, full)], codec, options)
    seen = centres(fetch(path, [0.0]).frames[0])
    assert np.abs(seen - COLOURS).max() <= 6


def write(
    path: Path,
    frames: list[av.VideoFrame],
    codec: str,
    options: dict[str, str] | None = None,
    display_matrix: list[int] | None = None,
    sample_aspect: Fraction | None = None,
) -> None:
    """A video of 25 frames a second, tagged like its first frame."""
    first = frames[0]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
        context = stream.codec_context
        context.colorspace, context.color_range = first.colorspace, first.color_range
        context.color_trc, context.color_primaries = first.color_trc, first.color_primaries
        context.thread_count = 1
        if sample_aspect:
            context.sample_aspect_ratio = sample_aspect
        stream.set_display_matrix(display_matrix)
        for index, frame in enumerate(frames):
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


# Kinds of pixels


def test_every_pixel_format() -> None:
    """What swscale can write it can read again, and the painter asks it rightly."""
    row, column = np.indices((48, 64))
    original = np.stack([column * 4, row * 5, (column + row) * 2], -1).astype(np.uint8)
    tested = 0
    for name in sorted(format_names):
        components = av.VideoFormat(name, 64, 48).components
        if len(components) < 3 or min(part.bits for part in components) < 8:
            continue
        try:
            frame = converted(original, name)
        except av.FFmpegError:
            continue
        off = np.abs(paint(frame) - original)
        assert off.mean() < 1.5, name
        assert off.max() <= 16, name
        tested += 1
    assert tested > 100


@pytest.mark.parametrize("format", ["rgb24", "bgra", "gbrp", "gbrp10le", "yuv444p12le"])
@pytest.mark.parametrize("size", [(80, 48), (66, 40), (30, 50), (160, 96)])
def test_smaller_is_the_mean_of_the_area(format: str, size: tuple[int, int]) -> None:
    original = np.random.default_rng(0).integers(0, 256, (96, 160, 3)).astype(np.uint8)
    original[:48] = smooth(160, 48)
    frame = converted(original, format)
    off = paint(frame, size) - area(original, *size)
    assert np.abs(off).max() <= 2
    assert np.abs(off.mean()) < 0.1


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p10le", "nv12"])
@pytest.mark.parametrize("size", [(398, 224), (398, 225), (200, 112), (640, 360), (1280, 720)])
def test_scaled_as_in_ffmpeg(format: str, size: tuple[int, int]) -> None:
    frame = converted(smooth(640, 360), format, dst_colorspace=1)
    frame.colorspace = BT709
    graph = Graph()
    links = [
        graph.add_buffer(width=640, height=360, format=frame.format, time_base=Fraction(1, 25)),
        graph.add(
            "scale",
            f"{size[0]}:{size[1]}:flags=area+accurate_rnd+full_chroma_int:in_color_matrix=bt709",
        ),
        graph.add("format", "rgb24"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*links).configure()
    graph.push(frame)
    theirs = graph.pull().to_ndarray().astype(int)
    off = paint(frame, size) - theirs
    assert np.abs(off).max() <= 3
    assert np.abs(off).mean() < 0.5
    assert np.abs(off.mean()) < 0.1


@pytest.mark.parametrize("format", ["gray", "gray10le", "gray12le"])
def test_grey(format: str) -> None:
    bits = av.VideoFormat(format).components[0].bits
    levels = np.arange(16, 236)
    samples = (levels[None] << (bits - 8)).repeat(4, 0)
    full, limited, untagged = (
        paint(new_frame([samples], format, colour_range=tag)) for tag in (FULL, LIMITED, 0)
    )
    assert (full == full[..., :1]).all()
    assert np.abs(full[0, :, 0] - levels).max() <= 1
    assert (untagged == full).all()
    assert np.abs(limited[0, :, 0] - (levels - 16) * 255 / 219).max() <= 2


def test_palette() -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [10, 20, 30], [255, 255, 255]], np.uint8)
    palette = np.zeros((256, 4), np.uint8)
    palette[:4] = np.insert(colours, 0, 255, axis=1)
    indices = np.arange(4, dtype=np.uint8).repeat(16)[None].repeat(16, 0)
    frame = av.VideoFrame.from_ndarray((np.ascontiguousarray(indices), palette), format="pal8")
    for size in ((64, 16), (32, 8)):
        assert np.abs(centres(paint(frame, size)) - colours).max() <= 1


@pytest.mark.parametrize(
    ("suffix", "codec", "format"),
    [
        (".mov", "prores_ks", "yuva444p10le"),
        (".mov", "qtrle", "argb"),
        (".mkv", "ffv1", "yuva420p"),
        (".mkv", "ffv1", "bgra"),
    ],
)
def test_colours_under_transparency_are_shown(
    tmp_path: Path, suffix: str, codec: str, format: str
) -> None:
    if format.startswith("yuva"):
        frame = patches(COLOURS, format, BT601)
    else:
        opaque = np.repeat(COLOURS, 16, axis=0)[None].repeat(16, 0)
        pixels = np.insert(opaque, 3, 0, axis=2).astype(np.uint8)  # red, green, blue, nothing
        frame = converted(pixels, format, "rgba")
    options = {"profile": "4444"} if codec == "prores_ks" else {}
    write(tmp_path / f"a{suffix}", [frame], codec, options)
    picture = fetch(tmp_path / f"a{suffix}", [0.0]).frames[0]
    assert np.abs(centres(picture) - COLOURS).max() <= 4


# HDR


@pytest.mark.parametrize(("transfer", "name"), [(PQ, "smpte2084"), (HLG, "arib-std-b67")])
def test_hdr_is_tone_mapped_as_in_ffmpeg(transfer: int, name: str) -> None:
    count = 150  # rows of which are padded
    y, u, v = np.array(ORACLE["hdr"]["yuv"], np.uint16)[:count].T[:, None]
    theirs = np.array(ORACLE["hdr"]["rgb"][name])[:count]
    for rows, tag in ((1, BT2020), (1, UNTAGGED), (1000, BT2020)):
        planes = [np.broadcast_to(samples, (rows, count)) for samples in (y, u, v)]
        off = np.abs(paint(new_frame(planes, "yuv444p10le", tag, LIMITED, transfer)) - theirs)
        assert off.max() <= 2
        assert off.mean() < 0.5


def test_hdr_by_the_formula() -> None:
    """The curve as published, constants A to F; white is 1000 cd/m²."""

    def hable(x: float) -> float:
        a, b, c, d, e, f = 0.15, 0.50, 0.10, 0.20, 0.02, 0.30
        return (x * (a * x + c * b) + d * e) / (x * (a * x + b) + d * f) - e / f

    grey = np.full((4, 4), 512)
    for light in (0, 1, 10, 100, 203, 1000, 10000):  # cd/m²
        power = (light / 10000) ** (2610 / 16384)
        code = ((107 / 128 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
        luma = np.full((8, 8), round(64 + 876 * code))
        frame = new_frame([luma, grey, grey], "yuv420p10le", BT2020, LIMITED, PQ)
        level = 255 * min(1, hable(light / 100) / hable(10)) ** (1 / 2.4)
        assert np.abs(paint(frame) - level).max() <= 2


@pytest.mark.parametrize(("transfer", "name"), [(PQ, "smpte2084"), (HLG, "arib-std-b67")])
def test_hdr_file(tmp_path: Path, transfer: int, name: str) -> None:
    chosen = slice(32, 160, 8)
    yuv = np.array(ORACLE["hdr"]["yuv"], np.uint16)[chosen]
    planes = [
        yuv[:, i].repeat(16 // step)[None].repeat(16 // step, 0) for i, step in enumerate((1, 2, 2))
    ]
    frame = new_frame(planes, "yuv420p10le", BT2020, LIMITED, transfer)
    frame.color_primaries = BT2020
    path = tmp_path / "a.mkv"
    write(path, [frame], "libx265", {"x265-params": "log-level=none:qp=2"})
    theirs = np.array(ORACLE["hdr"]["rgb"][name])[chosen]
    off = np.abs(centres(fetch(path, [0.0]).frames[0]) - theirs)
    assert off.mean() < 3


# Shape and turn


@pytest.mark.parametrize("turn", ORACLE["turns"]["shown"], ids=lambda t: str(t["matrix"]))
def test_turned_as_in_ffmpeg(tmp_path: Path, turn: dict[str, Any]) -> None:
    a, b, c, d = turn["matrix"]
    levels = np.array([30, 90, 160, 230])
    stored = levels[np.array(ORACLE["turns"]["stored"])].repeat(24, 0).repeat(32, 1)
    frame = converted(stored.astype(np.uint8), "yuv420p", "gray")
    path, one = tmp_path / "a.mp4", 1 << 16
    matrix = [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30]
    write(path, [frame], "libx264", {"qp": "4"}, matrix)

    info = probe(path)
    assert (info.width, info.height) == ((48, 64) if a == 0 else (64, 48))
    assert (info.coded_width, info.coded_height) == (64, 48)
    for size in (None, 24):
        picture = fetch(path, [0.0], size).frames[0]
        assert picture.shape[:2] == fitted(info.width, info.height, size)[::-1]
        height, width = picture.shape[:2]
        seen = picture[[[height // 4], [3 * height // 4]], [width // 4, 3 * width // 4]]
        assert np.abs(seen - levels[np.array(turn["quarters"])][..., None]).max() < 20


def test_degrees_of_turns() -> None:
    """Clockwise, as the quarters show: the top left one of the stored picture moves on."""
    corners = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)
    for transposed, rows, columns in product((False, True), repeat=3):
        turn = Turn(transposed, rows, columns)
        turned = np.rot90(corners, -turn.degrees // 90)
        mirrored = transposed ^ rows ^ columns
        assert (turn.apply(corners) == (turned[:, ::-1] if mirrored else turned)).all()


@pytest.mark.parametrize(
    ("suffix", "codec", "format"),
    [
        (".mp4", "libx264", "yuv420p"),
        (".mkv", "libx264", "yuv420p"),
        (".ts", "libx264", "yuv420p"),
        (".avi", "mpeg4", "yuv420p"),
        (".mov", "prores_ks", "yuv422p10le"),  # in the container alone
        (".mp4", "mjpeg", "yuvj420p"),
    ],
)
def test_sample_aspect_ratio(tmp_path: Path, suffix: str, codec: str, format: str) -> None:
    frames = [converted(draw_number(n, 160, 96), format) for n in range(12)]
    path = tmp_path / f"a{suffix}"
    write(path, frames, codec, sample_aspect=Fraction(4, 3))
    info = probe(path)
    assert (info.width, info.height) == (213, 96)
    assert (info.coded_width, info.coded_height) == (160, 96)
    picture = fetch(path, [5 / 25], 48).frames[0]
    assert picture.shape == (48, 106, 3)
    assert read_number(picture) == 5


def test_displayed_size() -> None:
    assert displayed(720, 576, Fraction(64, 45)) == (1024, 576)
    assert displayed(1440, 1080, Fraction(4, 3)) == (1920, 1080)
    assert displayed(1, 1, Fraction(1, 3)) == (1, 1)
    for nonsense in (None, Fraction(0), Fraction(1, 60000), Fraction(65535)):
        assert displayed(640, 480, nonsense) == (640, 480)


def test_turn_and_aspect_together(tmp_path: Path) -> None:
    """The stored pixels are stretched, then the picture is turned."""
    frame = converted(smooth(160, 96), "yuv420p")
    one = 1 << 16
    path = tmp_path / "a.mp4"
    quarter = [0, one, 0, -one, 0, 0, 0, 0, 1 << 30]
    write(path, [frame], "libx264", {"qp": "4"}, quarter, Fraction(2))
    info = probe(path)
    assert (info.width, info.height, info.rotation) == (96, 320, 90)
    picture = fetch(path, [0.0]).frames[0]
    expected = np.rot90(smooth(160, 96).repeat(2, axis=1), -1).astype(int)
    assert np.abs(picture - expected).mean() < 4


@pytest.mark.parametrize("stored", [(1, 1), (2, 2), (3, 1), (1, 7), (161, 97), (17, 33)])
@pytest.mark.parametrize("format", ["yuv420p", "yuv422p10le", "yuv410p", "rgb24"])
def test_odd_and_tiny_sizes(stored: tuple[int, int], format: str) -> None:
    colour = np.array([200, 100, 50])
    frame = converted(np.full((*stored[::-1], 3), colour, np.uint8), format)
    for size in (stored, (1, 1), (2, 2), (31, 17), (224, 224), (1, 300)):
        picture = paint(frame, size)
        assert picture.shape == (*size[::-1], 3)
        assert np.abs(picture - colour).max() <= 3


def test_large() -> None:
    luma = np.broadcast_to(np.linspace(16, 235, 8192).astype(np.uint8), (8192, 8192))
    grey = np.broadcast_to(np.uint8(128), (4096, 4096))
    frame = new_frame([luma, grey, grey], "yuv420p", BT709, LIMITED)
    picture = paint(frame, (224, 224))
    assert np.abs(picture[:, :, 1] - np.linspace(0, 255, 224)).max() <= 2


# Streams


def test_one_painter_for_a_stream_that_changes() -> None:
    """Size, pixel format, matrix, range and the size asked for may differ from frame to frame."""
    frames = [
        patches(COLOURS, "yuv420p", BT709),
        patches(COLOURS[:3], "yuv422p10le", BT601, full=True),
        patches(COLOURS, "yuv420p", BT601),
        patches(COLOURS, "yuv420p", BT601, full=True),
        converted(smooth(160, 96), "rgb24"),
        converted(smooth(160, 96), "gray"),
        new_frame([np.full((8, 8), 600)] * 3, "yuv444p10le", BT2020, LIMITED, PQ),
    ]
    painter = Painter()
    for frame in [*frames, *reversed(frames)]:
        for size in ((96, 64), (33, 20), (200, 150)):
            assert (painter.paint(frame, size) == Painter().paint(frame, size)).all()


def test_stream_that_changes_its_size(tmp_path: Path) -> None:
    small = make_video(tmp_path / "small.ts", seconds=1, size=(160, 96))
    large = make_video(tmp_path / "large.ts", seconds=1, size=(320, 192), first_pts=1.0)
    path = tmp_path / "both.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    batch = fetch(path, [0.2, 1.2])
    assert batch.frames.shape == (2, 96, 160, 3)
    assert [read_number(picture) for picture in batch.frames] == [5, 5]


@pytest.mark.parametrize("size", [(32, 32), (40, 16), (64, 1)])
@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"qp": "1", "x264-params": "tff=1"}),
        ("mpeg2video", {"flags": "+ilme+ildct", "qmin": "1", "qmax": "1"}),
    ],
)
def test_fields_leave_no_combs(
    tmp_path: Path, codec: str, options: dict[str, str], size: tuple[int, int]
) -> None:
    """One field white, one black: their mean, as in ffmpeg, not lines."""
    luma = np.full((64, 64), 16, np.uint8)
    luma[::2] = 235
    grey = np.full((32, 32), 128, np.uint8)
    path = tmp_path / "a.mkv"
    write(path, [new_frame([luma, grey, grey], "yuv420p", BT601, LIMITED)], codec, options)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert frame.interlaced_frame
    assert np.abs(paint(frame, size) - 128).max() <= 6
    assert np.abs(paint(frame)[:, 32, 0] - np.tile([255, 0], 32)).max() <= 6
