"""Scene points followed through the scanned frames of a video, with nothing but OpenCV."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videopipe.scan.matching import PLANE_LEAST, SUPPORT, foretold, matches, squares, verified
from videopipe.select.landmarks import Landmarks

FRAME_LIMIT = 128  # landmarks that a frame sees at most
_LONE_LIMIT = 16  # of a frame that is alone in its shot, where nothing can be verified
_DETECTED = 500  # corners that are asked for
_MARGIN = 19  # pixels along the edges of the picture without corners
_POINTS = 480  # of a frame at most, with those that were carried on
_CELL = 32  # pixels; in each such square of the picture
_PER_CELL = 12  # are this many of the strongest
_APART = 4  # pixels: nearer corners are one corner at several scales
_STILL_GREY = 2.0  # grey levels of mean absolute difference at most,
_STILL_SHARE, _STILL_LEAST = 0.08, 0.25  # and this share of the contrast, noise of the codec apart
_VIEWS = 32  # earlier views that are kept
_VOTERS = 64  # strongest points of a view that vote for an earlier one
_VOTE_NEAR = 48  # bits of 256
_VOTES_LEAST = 6
_FLOW_WINDOW, _FLOW_ERROR, _FLOW_OFF = 15, 12.0, 3.0  # pixels, grey levels, pixels
_NEW_VIEW = 0.3  # a frame that shares less of its points with the view in use is a view of its own


@dataclass(slots=True, eq=False)
class _View:
    """The points of a frame, strongest first, and the track of each."""

    time: float
    row: int
    grey: NDArray[np.uint8]
    at: NDArray[np.float32]  # [K, 2] pixels
    words: NDArray[np.uint8]  # [K, 32] ORB descriptors
    tracks: NDArray[np.int32]  # [K]


class LandmarkTracker:
    """Tracks of scene points: what each frame of a video sees of the scene.

    ORB corners of a frame (Rublee et al., ICCV 2011) are matched with the frame before, with the
    view in use and, when that is lost or left, with the earlier view that most of them vote for, so
    that a camera which comes back finds the points that it knows. A match counts if one plane or
    one epipolar geometry explains enough of all matches of the two frames. Matched points are one
    track. A point whose corner is not found again goes on if optical flow, told where to look by
    the matches around it, finds its picture. A frame that hardly differs from the last one looked
    at sees the same.

    Memory: one int32 for each point of a frame that moved, and ``_VIEWS`` views.
    """

    def __init__(self) -> None:
        import cv2

        self._orb = cv2.ORB.create(_DETECTED, 1.25, 5, edgeThreshold=_MARGIN, fastThreshold=10)
        self._times = array("d")
        self._rows = array("i")  # of each frame: still frames share one
        self._ends = array("q", [0])  # of each row in the tracks
        self._tracks = array("i")
        self._joins = array("i")  # pairs of tracks that a later view found to be one
        self._count = 0
        self._grey: NDArray[np.uint8] | None = None
        self._before: _View | None = None
        self._used: _View | None = None
        self._views: list[_View] = []

    def add(self, time: float, frame: NDArray[np.uint8]) -> None:
        """Follow the points into the next frame, which has the size of those before.

        Args:
            time: seconds, ascending.
            frame: uint8 RGB ``[H, W, 3]``, the short side about 224 pixels.
        """
        import cv2

        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        self._times.append(time)
        if self._grey is not None and _is_still(grey, self._grey):
            self._rows.append(self._rows[-1])
            return
        at, words = self._corners(grey)
        view = _View(time, len(self._ends) - 1, grey, at, words, np.full(len(at), -1, np.int32))
        if self._before is not None:
            _follow(view, self._before)
        if self._used is not None and self._used is not self._before:
            _follow(view, self._used)
        recalled = self._recall(view) if self._is_elsewhere(view) else None
        for earlier in (self._before, recalled):
            if earlier is not None:
                _carry(view, earlier)
        fresh = np.flatnonzero(view.tracks < 0)
        view.tracks[fresh] = np.arange(self._count, self._count + len(fresh))
        self._count += len(fresh)
        if recalled is not None:
            self._used = recalled
        if self._is_elsewhere(view):
            self._keep(view)
        self._grey, self._before = grey, view
        self._rows.append(view.row)
        self._tracks.frombytes(view.tracks.tobytes())
        self._ends.append(len(self._tracks))

    def landmarks(self, cuts: Sequence[float]) -> Landmarks:
        """What each frame sees, one set for each frame added.

        A point counts in a shot if at least two of its frames see it; a frame that is alone in its
        shot sees its strongest few, unverified. Of more than ``FRAME_LIMIT`` in a frame, those stay
        that the most frames of the shot see.

        Args:
            cuts: seconds at which a new shot begins; nothing is the same on both sides.
        """
        rows = np.frombuffer(self._rows, np.int32)
        ends = np.frombuffer(self._ends, np.int64)
        tracks = self._joined(ends)
        shots = np.searchsorted(np.sort(np.asarray(cuts, np.float64)), self._times, "right")
        return Landmarks.join(
            [
                _in_shot(tracks, ends, part)
                for part in np.split(rows, np.flatnonzero(np.diff(shots)) + 1)
            ]
        )

    def _corners(self, grey: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Corners spread over the picture, strongest first, and their descriptors."""
        none = np.empty((0, 2), np.float32), np.empty((0, 32), np.uint8)
        if min(grey.shape) <= 2 * _MARGIN:  # OpenCV fails on pictures of a few pixels
            return none
        found, words = self._orb.detectAndCompute(grey, None)
        if words is None:
            return none
        at = np.array([corner.pt for corner in found], np.float32)
        order = np.lexsort((*at.T, [-corner.response for corner in found]))
        columns = grey.shape[1]
        fine = (at[order] // _APART).astype(np.int64) @ [1, columns]
        order = order[np.sort(np.unique(fine, return_index=True)[1])]
        coarse = (at[order] // _CELL).astype(np.int64) @ [1, columns]
        order = order[_places(coarse) < _PER_CELL]
        return at[order], words[order]

    def _is_elsewhere(self, view: _View) -> bool:
        """Whether the view in use shows too little of what this one shows."""
        if self._used is None:
            return len(view.at) >= PLANE_LEAST
        shared = len(_shared(view.tracks, self._used.tracks)[0])
        return len(view.at) >= PLANE_LEAST and shared < _NEW_VIEW * len(view.at)

    def _recall(self, view: _View) -> _View | None:
        """The earlier view that shows the same place, its tracks joined with this one's."""
        import cv2

        others = [v for v in self._views if v is not self._used and v is not self._before]
        if not others:
            return None
        words = np.concatenate([other.words[:_VOTERS] for other in others])
        owner = np.repeat(np.arange(len(others)), [len(o.words[:_VOTERS]) for o in others])
        far, nearest = cv2.batchDistance(
            view.words[:_VOTERS], words, cv2.CV_32S, normType=cv2.NORM_HAMMING, K=1
        )
        votes = np.bincount(owner[nearest[far <= _VOTE_NEAR]], minlength=len(others))
        if votes.max() < _VOTES_LEAST:
            return None
        earlier = others[int(votes.argmax())]
        mine, theirs = matches(view.words, earlier.words)
        kept = verified(view.at[mine], earlier.at[theirs])
        mine, theirs = mine[kept], theirs[kept]
        taken = np.isin(earlier.tracks[theirs], view.tracks)
        mine, theirs = mine[~taken], theirs[~taken]
        new, old = view.tracks[mine], earlier.tracks[theirs]
        self._joins.frombytes(np.stack([old, new], 1)[new >= 0].tobytes())
        view.tracks[mine] = old
        return earlier if kept.any() else None

    def _keep(self, view: _View) -> None:
        """Make it the view in use. Of too many, the older ones lie further apart in time."""
        self._used = view
        self._views.append(view)
        if len(self._views) > _VIEWS:
            times = np.array([v.time for v in self._views])
            gaps = (times[2:] - times[:-2]) / np.maximum(times[-1] - times[1:-1], 1e-9)
            del self._views[1 + int(gaps.argmin())]

    def _joined(self, ends: NDArray[np.int64]) -> NDArray[np.int32]:
        """The tracks of all rows, those that were found to be one under one number."""
        tracks = np.frombuffer(self._tracks, np.int32)
        joins = np.frombuffer(self._joins, np.int32).reshape(-1, 2)
        concerned = np.flatnonzero(np.isin(tracks, joins))
        row_of = np.searchsorted(ends, concerned, "right") - 1
        rows: dict[int, set[int]] = {}
        for track, row in zip(tracks[concerned].tolist(), row_of.tolist(), strict=True):
            rows.setdefault(track, set()).add(row)
        root = np.arange(self._count, dtype=np.int32)

        def find(track: int) -> int:
            while root[track] != track:
                root[track] = root[root[track]]
                track = int(root[track])
            return track

        for pair in joins.tolist():
            old, new = sorted(map(find, pair))
            # two points of one frame are not one point
            if old != new and rows[old].isdisjoint(rows[new]):
                rows[old] |= rows.pop(new)
                root[new] = old
        for track in np.unique(joins).tolist():
            root[track] = find(track)
        return root[tracks]


def _in_shot(
    tracks: NDArray[np.int32], ends: NDArray[np.int64], rows: NDArray[np.int32]
) -> Landmarks:
    """What the frames of a shot see, given the row of each."""
    counts = ends[rows + 1] - ends[rows]
    frames = np.repeat(np.arange(len(rows)), counts)
    place = np.arange(len(frames)) - np.repeat(np.cumsum(counts) - counts, counts)
    point = tracks[np.repeat(ends[rows], counts) + place]
    _, point, seen = np.unique(point, return_inverse=True, return_counts=True)
    counted = place < _LONE_LIMIT if len(rows) == 1 else seen[point] > 1
    frames, point = frames[counted], point[counted]
    order = np.lexsort((point, -seen[point], frames))
    frames, point = frames[order], point[order]
    within = _places(frames) < FRAME_LIMIT
    frames, point = frames[within], point[within]
    order = np.lexsort((point, frames))
    return Landmarks(
        np.searchsorted(frames, np.arange(len(rows) + 1)).astype(np.int64),
        np.unique(point[order], return_inverse=True)[1].astype(np.int64),
    )


def _follow(view: _View, earlier: _View) -> None:
    """Give the points of a view the tracks of the earlier one."""
    known, where = _shared(view.tracks, earlier.tracks)
    free = np.flatnonzero(view.tracks < 0)
    left = np.flatnonzero(~np.isin(earlier.tracks, view.tracks))
    mine, theirs = matches(view.words[free], earlier.words[left])
    mine, theirs = np.append(known, free[mine]), np.append(where, left[theirs])
    kept = verified(view.at[mine], earlier.at[theirs])
    view.tracks[mine[kept]] = earlier.tracks[theirs[kept]]


def _carry(view: _View, earlier: _View) -> None:
    """Add the points of an earlier view that are still there, though no corner was found.

    Matched points around one foretell where it went (a similarity, fitted to the nearest), and
    optical flow (Lucas-Kanade) from there says whether the picture is the same.
    """
    import cv2

    known, where = _shared(view.tracks, earlier.tracks)
    if len(known) < SUPPORT:
        return
    left = np.flatnonzero(~np.isin(earlier.tracks, view.tracks))
    if not len(left):
        return
    at = earlier.at[left]
    hoped, backed = foretold(at, earlier.at[where], view.at[known])
    height, width = view.grey.shape
    edge = _FLOW_WINDOW // 2 + 1
    backed &= ((hoped >= edge) & (hoped < [width - edge, height - edge])).all(1)
    left, at, hoped = left[backed], at[backed], hoped[backed]
    if not len(left):
        return
    found, status, error = cv2.calcOpticalFlowPyrLK(
        earlier.grey,
        view.grey,
        at,
        hoped.copy(),
        winSize=(_FLOW_WINDOW, _FLOW_WINDOW),
        maxLevel=0,
        criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 8, 0.05),
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    good = (status.ravel() > 0) & (error.ravel() < _FLOW_ERROR)
    good &= np.hypot(*(found - hoped).T) < _FLOW_OFF
    left, found = left[good], found[good]
    apart = squares(found, view.at)
    nearest = apart.argmin(1)
    close = apart[np.arange(len(left)), nearest] < _APART**2
    for point, corner in zip(left[close], nearest[close], strict=True):
        if view.tracks[corner] < 0:
            view.tracks[corner] = earlier.tracks[point]
    room = _POINTS - len(view.at)
    left, found = left[~close][:room], found[~close][:room]
    view.at = np.concatenate([view.at, found])
    view.words = np.concatenate([view.words, earlier.words[left]])
    view.tracks = np.concatenate([view.tracks, earlier.tracks[left]])


def _is_still(grey: NDArray[np.uint8], before: NDArray[np.uint8]) -> bool:
    import cv2

    change = cv2.mean(cv2.absdiff(grey, before))[0]
    if change > _STILL_GREY:
        return False
    contrast = cv2.meanStdDev(grey)[1].item()
    return bool(change <= max(_STILL_LEAST, _STILL_SHARE * contrast))


def _places(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each within its group, from 0, in the order given."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    places = np.empty(len(groups), np.int64)
    places[order] = np.arange(len(groups)) - np.searchsorted(ordered, ordered)
    return places


def _shared(
    tracks: NDArray[np.int32], earlier: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where two views have the same tracks; -1 is none."""
    same, mine, theirs = np.intersect1d(tracks, earlier, return_indices=True)
    return mine[same >= 0], theirs[same >= 0]
