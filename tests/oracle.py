"""Inputs and outputs of official implementations, from ``tests/oracles``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "oracles"


class Case(NamedTuple):
    """One case of a manifest entry."""

    params: dict[str, Any]
    inputs: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]


@cache
def cases(name: str) -> list[Case]:
    """The cases of a method."""
    return list(_read(name))


def _read(name: str) -> Iterator[Case]:
    entry = json.loads((FOLDER / "manifest.json").read_text())["methods"][name]
    with np.load(FOLDER / f"{name}.npz") as arrays:
        for number, case in enumerate(entry["cases"]):
            sides = (
                {key: arrays[f"case{number}/{side}/{key}"] for key in case[f"{side}puts"]}
                for side in ("in", "out")
            )
            yield Case(case["params"], *sides)
