"""What every back end is to the rest: an open video that shows the frames asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Backend = Literal["pyav", "decord", "torchcodec", "opencv"]
Picture = NDArray[np.uint8]  # RGB [H, W, 3], as it should be seen
Size = tuple[int, int]  # width, height of a picture as it should be seen
Wanted = tuple[int, tuple[Size, ...]]  # a packet of the table, and the sizes its frame is asked in
Shown = tuple[int, tuple[Picture, ...] | None]  # the packet, and its frame in these sizes


class Decoder(Protocol):
    """One open video; a context manager. Used by one thread at a time."""

    def __enter__(self) -> Decoder: ...

    def __exit__(self, *error: object) -> None: ...

    def pictures(self, wanted: Sequence[Wanted]) -> Iterator[Shown]:
        """Each of ``wanted`` (ascending packets) once, ``None`` where it cannot be decoded.

        Raises:
            MediaError: the back end cannot tell which frame is the right one, or died.
            TimeLimit: nothing came within the limit.
        """
        ...
