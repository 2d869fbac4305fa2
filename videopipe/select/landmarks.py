"""Which scene points each frame sees: what space-aware selection covers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Sparse sets of scene points, one for each of ``N`` frames.

    Frame ``i`` sees the points ``ids[offsets[i] : offsets[i + 1]]``, each once. ``offsets`` is
    int64 ``[N + 1]`` from 0, ``ids`` int64, 0 or more.

    Raises:
        ValueError: offsets that do not fit the ids.
    """

    offsets: NDArray[np.int64]
    ids: NDArray[np.int64]

    def __post_init__(self) -> None:
        offsets = self.offsets
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(self.ids):
            raise ValueError("the offsets of landmarks go from 0 to the number of ids")
        if (np.diff(offsets) < 0).any() or (len(self.ids) and self.ids.min() < 0):
            raise ValueError("offsets of landmarks ascend, and ids are 0 or more")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, frame: int) -> NDArray[np.int64]:
        """The points that a frame sees."""
        return self.ids[self.offsets[frame] : self.offsets[frame + 1]]

    def __repr__(self) -> str:
        return f"Landmarks({len(self)} frames, {len(self.ids)} sightings)"

    @classmethod
    def of(cls, frames: Iterable[Iterable[int]]) -> Landmarks:
        """From the points of each frame; twice the same in a frame counts once."""
        sets = [np.unique(np.fromiter(points, np.int64)) for points in frames]
        return cls(
            np.cumsum([0, *map(len, sets)], dtype=np.int64),
            np.concatenate([*sets, np.empty(0, np.int64)]),
        )

    @classmethod
    def from_point_maps(
        cls,
        points: NDArray[np.floating],
        confidence: NDArray[np.floating],
        *,
        percentile: float = 50.0,
        confidence_floor: float = 0.1,
        voxels_along_shortest_axis: int = 20,
    ) -> Landmarks:
        """The voxels that the point maps of a feed-forward geometry model fall into.

        Spatial-MLLM (arXiv 2505.23747, sec. 3.3): points at least as sure as the ``percentile`` of
        all, and surer than the floor, are put into cubes whose edge is a part of the scene's
        shortest extent. A scene that is flat along an axis takes the part of its next extent, so
        that cubes never vanish. For one shot: across cuts a common grid means nothing.

        Args:
            points: ``[T, H, W, 3]``, the 3-D point of every pixel, in one frame of reference.
            confidence: ``[T, H, W]``, higher is surer. What is no number has no part in it.
        """
        known = np.isfinite(points).all(-1) & np.isfinite(confidence)
        if not known.any():
            return cls(np.zeros(len(points) + 1, np.int64), np.empty(0, np.int64))
        least = np.percentile(confidence[known], percentile)
        sure = known & (confidence >= least) & (confidence > confidence_floor)
        if not sure.any():
            return cls(np.zeros(len(points) + 1, np.int64), np.empty(0, np.int64))
        held = points[sure].astype(np.float32)
        low, high = held.min(0), held.max(0)
        extents = np.sort(high - low)
        # A thousandth of the largest: thinner is a plane, and noise must not make its cubes.
        solid = extents[extents > extents[-1] * 1e-3]
        edge = np.float32(solid[0] if len(solid) else 1.0) / np.float32(voxels_along_shortest_axis)
        cubes = np.floor((held - low) / edge).astype(np.int64)
        sides = cubes.max(0) + 1
        cells = (cubes[:, 0] * sides[1] + cubes[:, 1]) * sides[2] + cubes[:, 2]
        counts = sure.reshape(len(points), -1).sum(1)
        return cls.of(np.split(cells, np.cumsum(counts)[:-1]))

    @classmethod
    def join(cls, parts: Sequence[Landmarks]) -> Landmarks:
        """Those of several videos one after the other; none of their points is the same."""
        if not parts:
            return cls(np.zeros(1, np.int64), np.empty(0, np.int64))
        spans = [int(part.ids.max()) + 1 if len(part.ids) else 0 for part in parts]
        starts = np.cumsum([0, *spans[:-1]])
        ends = np.cumsum([0, *(len(part.ids) for part in parts)])
        return cls(
            np.concatenate(
                [[0], *(part.offsets[1:] + end for part, end in zip(parts, ends, strict=False))]
            ).astype(np.int64),
            np.concatenate([part.ids + start for part, start in zip(parts, starts, strict=True)]),
        )

    def take(self, frames: NDArray[np.int64]) -> Landmarks:
        """Those of some of the frames, in the order given."""
        starts, counts = self.offsets[frames], np.diff(self.offsets)[frames]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        where = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)
        return Landmarks(offsets, self.ids[where])

    def widened(self, share: float = 0.7) -> Landmarks:
        """Each frame with what its neighbours see, where they show the same place.

        Tracks break: a scene point is a new one where it is lost and found again. A frame that
        shares most of its points with the next shows the same place, and knows the points of both.
        Ids with large gaps are numbered anew.

        Args:
            share: of the points of the one with fewer, from which two frames are near.
        """
        from scipy.sparse import csr_matrix

        if not len(self.ids):
            return self
        count, held = len(self), self.numbered()
        # Who is followed by the next frame in the order of a point shares it with that.
        seers, starts = held.by_point
        followed = np.diff(seers) == 1
        ends = starts[1:-1] - 1
        followed[ends[(ends >= 0) & (ends < len(followed))]] = False
        both = np.bincount(seers[:-1][followed], minlength=count)[: count - 1]
        number = np.diff(self.offsets)
        fewer = np.minimum(number[:-1], number[1:])
        at = np.flatnonzero((both >= share * fewer) & (both > 0))
        rows = np.concatenate([np.arange(count), at, at + 1])
        columns = np.concatenate([np.arange(count), at + 1, at])
        near = csr_matrix((np.ones(len(rows), np.int8), (rows, columns)), (count, count))
        shape = (count, len(starts) - 1)
        sees = csr_matrix((np.ones(len(held.ids), np.int8), held.ids, held.offsets), shape)
        wide = near @ sees
        return Landmarks(wide.indptr.astype(np.int64), wide.indices.astype(np.int64))

    @cached_property
    def by_point(self) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """The frames that see each point, ascending: point ``p`` is seen by
        ``frames[starts[p] : starts[p + 1]]``.
        """
        from scipy.sparse import csr_matrix

        ones = np.ones(len(self.ids), np.int8)
        shape = (len(self), int(self.ids.max(initial=-1)) + 1)
        columns = csr_matrix((ones, self.ids, self.offsets), shape).tocsc()
        return columns.indices, columns.indptr

    def numbered(self) -> Landmarks:
        """The same with ids that leave no large gaps, for tables by id."""
        if not len(self.ids) or self.ids.max() < 4 * len(self.ids):
            return self
        return Landmarks(self.offsets, np.unique(self.ids, return_inverse=True)[1])

    @property
    def total(self) -> int:
        """How many points all frames see together."""
        return int(np.count_nonzero(np.bincount(self.numbered().ids)))

    def seen(self, frames: NDArray[np.int64]) -> int:
        """How many points some of the frames see together."""
        return self.take(frames).total
