"""Methods by their published names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from videopipe.errors import ConfigError

_T = TypeVar("_T")


class Registry(Generic[_T]):
    """Classes under published names; ``kind`` is what one of them is called in a sentence."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._methods: dict[str, _T] = {}

    def register(self, *names: str) -> Callable[[_T], _T]:
        """Make a class known under its published names."""

        def add(method: _T) -> _T:
            self._methods.update(dict.fromkeys(names, method))
            return method

        return add

    def __iter__(self) -> Iterator[str]:
        """The names, in alphabetical order."""
        return iter(sorted(self._methods))

    def __getitem__(self, name: str) -> _T:
        """The class of a published name.

        Raises:
            ConfigError: there is none of that name; the sentence lists them.
        """
        if name not in self._methods:
            raise ConfigError(f"There is no {self.kind} '{name}'; there are {', '.join(self)}.")
        return self._methods[name]
