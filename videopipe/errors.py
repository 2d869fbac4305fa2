"""Every error videopipe raises on purpose, as one tree.

A message is one sentence that says what is wrong and what to do. The class gives the exit code of
the command line.
"""

from __future__ import annotations


class VideopipeError(Exception):
    """Root of the tree. ``exit_code`` is what the command line returns."""

    exit_code = 1


class ConfigError(VideopipeError):
    """A wrong option, key or value."""

    exit_code = 2


class MediaError(VideopipeError):
    """A file that is not a video, or one that cannot be decoded."""

    exit_code = 3


class NothingProcessed(VideopipeError):
    """A run in which no video could be used."""

    exit_code = 3


class NotFound(VideopipeError):
    """A path, video or library that is not there."""

    exit_code = 4


class ModelError(VideopipeError):
    """A model or endpoint that cannot be loaded or reached."""

    exit_code = 5


class PartialFailure(VideopipeError):
    """A run in which some videos failed; the report names each."""

    exit_code = 6


class TimeLimit(VideopipeError):
    """Work that was given up because it showed no progress within its limit."""

    exit_code = 7


class LibraryError(VideopipeError):
    """A library that cannot be read or written: damaged, locked, or out of disk space."""


class LibraryVersion(LibraryError):
    """A library written by another version of the format."""

    exit_code = 2
