"""One compressor after another, written as ``evs:0.5 | divprune``."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

from videopipe.compress.registry import Compressor, method
from videopipe.compress.tokens import TokenMap, VisualTokens
from videopipe.errors import ConfigError

_STAGE = re.compile(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*(?::\s*([0-9.]+)\s*)?", re.DOTALL)
_PARAMETER = re.compile(r"\s*(\w+)\s*=\s*(.+?)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Stage:
    """A method, and the share of the tokens that it leaves to the next; None to share evenly."""

    name: str
    compressor: Compressor
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Composition:
    """Stages from the first to the last, which meets the number exactly."""

    stages: tuple[Stage, ...]

    @property
    def needs(self) -> frozenset[str]:
        """The signals and the context of all stages."""
        return frozenset().union(*(stage.compressor.needs for stage in self.stages))

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        """The maps of the stages, multiplied.

        A stage without a share leaves as many tokens as make all that follow equally hard.
        """
        made: TokenMap | None = None
        for at, stage in enumerate(self.stages):
            n, left = len(tokens), len(self.stages) - at
            share = (k / n) ** (1 / left) if stage.share is None else stage.share
            keep = k if left == 1 else max(k, round(share * n))
            if keep >= n:
                continue
            rows = stage.compressor(tokens, keep)
            made = rows if made is None else made.then(rows)
            if left > 1:
                tokens = tokens.under(rows)
        assert made is not None, "a composition is called with fewer rows than tokens"
        return made


def compose(spec: str, **params: Any) -> Composition:
    """Read a composition: stages ``name(parameter=value, ...):share`` with ``|`` between them.

    Args:
        spec: a published name, or several.
        params: of the method, where it is one.

    Raises:
        ConfigError: an unknown name, parameters that a method does not take, or an order that
            cannot work; the sentence says which.
    """
    stages = [_stage(text, spec) for text in _split(spec, "|")]
    if params:
        if len(stages) > 1:
            raise ConfigError(f"'{spec}' is several compressors: write parameters behind the name.")
        stages = [Stage(stages[0].name, _made(stages[0].name, params), stages[0].share)]
    if stages[-1].share is not None:
        raise ConfigError(
            f"The last compressor of '{spec}' meets the budget and has no share of its own: "
            f"write '{stages[-1].name}' alone."
        )
    for stage in stages[1:]:
        if stage.compressor.whole:
            first = stages[0]
            raise ConfigError(
                f"'{spec}': '{stage.name}' works on whole frames, so it goes first "
                + (
                    f"instead of '{first.name}', which does as well."
                    if first.compressor.whole
                    else f"('{stage.name}:0.5 | {first.name}')."
                )
            )
    return Composition(tuple(stages))


def _stage(text: str, spec: str) -> Stage:
    found = _STAGE.fullmatch(text)
    if not found:
        raise ConfigError(
            f"'{spec}' is not a compressor: write a name, or several as 'evs:0.5 | divprune'."
        )
    share = None
    if found[3]:
        try:
            share = float(found[3])
        except ValueError:
            share = 0.0
        if not 0 < share < 1:
            raise ConfigError(
                f"'{spec}': {found[3]} is no share of the tokens; write one above 0 and below 1."
            )
    params = {}
    for item in _split(found[2], ",") if found[2] and found[2].strip() else ():
        pair = _PARAMETER.fullmatch(item)
        if not pair:
            raise ConfigError(f"'{spec}': '{item.strip()}' is no parameter; write name=value.")
        params[pair[1]] = _value(pair[2])
    return Stage(found[1], _made(found[1], params), share)


def _made(name: str, params: dict[str, Any]) -> Compressor:
    kind = method(name)
    try:
        return kind(**params)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"The compressor '{name}' does not take that ({error}).") from None


def _value(text: str) -> Any:
    """A number, a truth, a tuple of these; anything else is a word."""
    try:
        return ast.literal_eval({"true": "True", "false": "False", "none": "None"}.get(text, text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _split(text: str, mark: str) -> list[str]:
    """At each ``mark`` that is in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == mark and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
