"""The sides of bench_decode.py that are Python: one side, one video, one fresh process.

    python pipelines/_bench_sides.py '{"side": "pyav", "path": "film.mp4", ...}'

Each prints one line of JSON: what it had used when its imports were done, how many frames it got.
Every side decodes with one thread unless ``workers`` says otherwise (decord with as many as it
takes by itself, which its users leave as it is), gives RGB pictures of the asked size, and is used
the way its own manual advises.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SCAN_SIDE, FETCH_SIDE = 224, 448  # short sides, pixels
CHUNK = 64  # indices in one get_batch
_MB = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # of ru_maxrss


@dataclass(frozen=True, slots=True)
class Task:
    """What one process does.

    ``count`` frames spread over the film, or one a second where it is 0. ``began`` is the time of
    the system's monotonic clock at which the process was started.
    """

    side: str
    path: str
    began: float
    width: int = 0
    height: int = 0
    rate: int = 1
    frames: int = 0
    count: int = 0
    workers: int = 1
    exactness: str = "exact"
    piece: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures that are asked for."""
        short = min(FETCH_SIDE if self.count else SCAN_SIDE, self.height)
        return 2 * round(self.width * short / self.height / 2), short

    @property
    def indices(self) -> list[int]:
        """Which frames of the film are asked for."""
        if not self.count:
            return list(range(0, self.frames, self.rate))
        return [int((place + 0.5) * self.frames / self.count) for place in range(self.count)]

    @property
    def times(self) -> list[float]:
        """Instants at which just these frames are on display, each in the middle of its time."""
        return [(index + 0.5) / self.rate for index in self.indices]


_at_start: dict[str, float] = {}


def imported(task: Task) -> None:
    """Note what the process has used so far: its start and its imports."""
    _at_start["start_cpu_s"] = time.process_time()
    _at_start["start_wall_s"] = time.monotonic() - task.began
    _at_start["start_mb"] = peak_mb()


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MB


def ours(task: Task) -> dict[str, Any]:
    import av  # noqa: F401  imported by videopipe when the first file is opened

    from videopipe.media import fetch, scan

    imported(task)
    path = Path(task.path)
    if task.count:
        return {"frames": len(fetch(path, task.times, FETCH_SIDE, workers=task.workers))}
    batches = scan(path, 1.0, SCAN_SIDE, exactness=task.exactness, workers=task.workers)
    frames = sum(len(batch) for batch in batches)
    return {"frames": frames, "off_by_s": batches.largest_error}


def ours_kept(task: Task) -> dict[str, Any]:
    """A scan whose frames all stay in memory, as those of a get_batch do."""
    import av  # noqa: F401

    from videopipe.media import scan

    imported(task)
    batches = list(scan(Path(task.path), 1.0, SCAN_SIDE))
    return {"frames": sum(len(batch) for batch in batches)}


def pyav(task: Task) -> dict[str, Any]:
    return _filled(task, _pyav_fetch(task) if task.count else _pyav_scan(task))


def _pyav_scan(task: Task) -> Iterator[Any]:
    import av

    imported(task)
    width, height = task.size
    with av.open(task.path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for index, frame in enumerate(container.decode(stream)):
            if index % task.rate == 0:
                yield frame.reformat(width, height, "rgb24", interpolation="AREA").to_ndarray()


def _pyav_fetch(task: Task) -> Iterator[Any]:
    """The usual recipe: to the key frame before, then decode up to the target."""
    import av

    imported(task)
    width, height = task.size
    with av.open(task.path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for index in task.indices:
            target = index / task.rate
            container.seek(round(target / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                if frame.time > target - 0.5 / task.rate:
                    picture = frame.reformat(width, height, "rgb24", interpolation="AREA")
                    yield picture.to_ndarray()
                    break


def opencv(task: Task) -> dict[str, Any]:
    return _filled(task, _opencv(task))


def _opencv(task: Task) -> Iterator[Any]:
    import cv2

    imported(task)
    cv2.setNumThreads(1)
    video = cv2.VideoCapture(task.path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])

    def picture(frame: Any) -> Any:
        small = cv2.resize(frame, task.size, interpolation=cv2.INTER_AREA)
        return cv2.cvtColor(small, cv2.COLOR_BGR2RGB)

    if task.count:
        for index in task.indices:
            video.set(cv2.CAP_PROP_POS_FRAMES, index)
            got, frame = video.read()
            if got:
                yield picture(frame)
        return
    index = 0
    while video.grab():
        if index % task.rate == 0:
            got, frame = video.retrieve()
            if got:
                yield picture(frame)
        index += 1


def decord(task: Task) -> dict[str, Any]:
    import decord as library

    imported(task)
    width, height = task.size
    reader = library.VideoReader(task.path, width=width, height=height)
    if task.count:
        return {"frames": len(reader.get_batch(task.indices).asnumpy())}
    chunks = (reader.get_batch(chunk).asnumpy() for chunk in _chunks(task.indices))
    return {"frames": sum(len(chunk) for chunk in chunks)}


def decord_native(task: Task) -> dict[str, Any]:
    """All frames in a single get_batch, at the size of the film."""
    import decord as library

    imported(task)
    reader = library.VideoReader(task.path)
    return {"frames": len(reader.get_batch(task.indices).asnumpy())}


def torchcodec(task: Task) -> dict[str, Any]:
    import torch
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    imported(task)
    torch.set_num_threads(1)
    width, height = task.size
    decoder = VideoDecoder(
        task.path,
        dimension_order="NHWC",
        num_ffmpeg_threads=1,
        seek_mode="exact",
        transforms=[Resize((height, width))],
    )
    if task.count:
        return {"frames": len(decoder.get_frames_at(task.indices).data.numpy())}
    chunks = (decoder.get_frames_at(chunk).data.numpy() for chunk in _chunks(task.indices))
    return {"frames": sum(len(chunk) for chunk in chunks)}


def ffmpeg_each(task: Task) -> dict[str, Any]:
    """``ffmpeg -ss T -frames:v 1`` for one frame after another."""

    imported(task)
    return _filled(task, _ffmpeg_each(task))


def _ffmpeg_each(task: Task) -> Iterator[Any]:

    width, height = task.size
    for index in task.indices:
        # It gives the first frame that begins at or after the time, hence half a frame before it.
        command = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1"]
        command += ["-ss", f"{max(0.0, (index - 0.5) / task.rate):.6f}", "-i", task.path]
        command += ["-frames:v", "1", "-vf", f"scale={width}:{height}:flags=area"]
        command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        done = subprocess.run(command, check=True, capture_output=True)
        if done.stdout:
            yield np.frombuffer(done.stdout, np.uint8).reshape(height, width, 3)


def av_open(task: Task) -> dict[str, Any]:
    """What opening alone costs: of an mp4 FFmpeg keeps the table of all samples."""
    import av

    from videopipe.media import scan  # noqa: F401  for the same imports as ``ours``

    imported(task)
    with av.open(task.path):
        return {"frames": 0}


def many(task: Task) -> dict[str, Any]:
    """Probe, scan and fetch each file of a folder; how far memory grows after the 50th."""
    import av  # noqa: F401

    from videopipe.media import fetch, probe, scan

    imported(task)
    frames = 0
    settled = peak_mb()
    for number, path in enumerate(sorted(Path(task.path).iterdir()), 1):
        info = probe(path)
        frames += sum(len(batch) for batch in scan(info))
        frames += len(fetch(info, [info.duration / 2, 0.0], FETCH_SIDE))
        if number == 50:
            settled = peak_mb()
    return {"frames": frames, "grown_mb": peak_mb() - settled}


def check(task: Task) -> dict[str, Any]:
    """Are ours the right frames? Compared with a sequential decode by PyAV, not timed.

    The film repeats its first ``piece`` frames, which are decoded one after another; of a scan of
    these and of frames fetched from the whole film, each must look most like the frame of its own
    number, not like one of the two beside it.
    """
    import av
    from av.video.frame import PictureType
    from av.video.reformatter import Interpolation

    from videopipe.media import fetch, scan

    imported(task)
    path = Path(task.path)
    stop = min(task.piece / task.rate, 60.0)
    scans = [
        np.concatenate([batch.frames for batch in scan(path, end=stop, workers=workers)])
        for workers in (1, 2)
    ]
    asked = list(zip(range(0, task.piece, task.rate), scans[0], strict=False))
    fetched = fetch(path, task.times, SCAN_SIDE).frames
    asked += zip((index % task.piece for index in task.indices), fetched, strict=True)
    wanted = {index + step for index, _ in asked for step in (-1, 0, 1)}
    width, height = asked[0][1].shape[1::-1]
    # swscale's own roundings are quicker and off by two levels; ours are the accurate ones.
    accurate = (
        Interpolation.AREA
        | Interpolation.ACCURATE_RND
        | Interpolation.FULL_CHR_H_INP
        | Interpolation.FULL_CHR_H_INT
    )
    right: dict[int, Any] = {}
    b_frames = key_frames = 0
    with av.open(task.path) as container:
        for index, frame in zip(range(task.piece), container.decode(video=0), strict=False):
            b_frames += frame.pict_type == PictureType.B
            key_frames += frame.key_frame
            if index in wanted:
                picture = frame.reformat(width, height, "rgb24", interpolation=accurate)
                right[index] = picture.to_ndarray()
    wrong, apart = 0, 0.0
    for index, frame in asked:
        distance = {
            step: float(np.abs(np.subtract(frame, right[index + step], dtype=np.int16)).mean())
            for step in (-1, 0, 1)
            if index + step in right
        }
        wrong += min(distance, key=distance.__getitem__) != 0
        apart = max(apart, distance[0])
    return {
        "frames": len(asked),
        "wrong": wrong,
        "mean_abs_difference": apart,
        "two_workers_alike": bool(np.array_equal(*scans)),
        "b_share": b_frames / task.piece,
        "mean_gop": task.piece / max(1, key_frames),
    }


def _filled(task: Task, pictures: Iterator[Any]) -> dict[str, Any]:
    """Take the pictures one by one: into one array if asked for by number, else no further."""
    if not task.count:
        return {"frames": sum(1 for _ in pictures)}
    width, height = task.size
    frames = np.empty((task.count, height, width, 3), np.uint8)
    done = 0
    for picture in pictures:
        frames[done] = picture
        done += 1
    return {"frames": done}


def _chunks(indices: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(indices), CHUNK):
        yield indices[first : first + CHUNK]


_SIDES: dict[str, Callable[[Task], dict[str, Any]]] = {
    side.__name__: side
    for side in (
        ours,
        ours_kept,
        pyav,
        opencv,
        decord,
        decord_native,
        torchcodec,
        ffmpeg_each,
        av_open,
        many,
        check,
    )
}


def main() -> None:
    task = Task(**json.loads(sys.argv[1]))
    try:
        found = _SIDES[task.side](task)
    except Exception as error:
        lines = str(error).strip().splitlines() or ["no reason given"]
        print(json.dumps({"reason": f"{type(error).__name__}: {lines[0][:120]}"}))
        return
    if task.count:
        width, height = task.size
        found["result_mb"] = found["frames"] * width * height * 3 / 1e6
    print(json.dumps(_at_start | found))


if __name__ == "__main__":
    main()
