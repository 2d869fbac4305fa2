"""``videopipe methods``: the published methods by name."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields, is_dataclass
from inspect import getdoc, signature
from typing import Annotated, Any

import typer

from videopipe.cli import show
from videopipe.cli.options import Json


def methods(
    name: Annotated[
        str | None, typer.Argument(help="One of them, with its parameters.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the selectors of frames and the compressors of tokens.

    Each has the name under which it was published.

    Example:

      videopipe methods f2c
    """
    from videopipe.errors import ConfigError

    rows = [row for row in _rows() if name in (None, row["name"])]
    if not rows:
        known = ", ".join(row["name"] for row in _rows())
        raise ConfigError(f"There is no method '{name}'; there are {known}.")
    if as_json:
        show.dump({"schema_version": 1, "methods": rows})
        return
    for kind in dict.fromkeys(row["kind"] for row in rows):
        if name is None:
            print(f"{kind}s")
        for row in rows:
            if row["kind"] != kind:
                continue
            about = [f"needs {', '.join(row['needs']) or 'nothing'}", row["paper"]]
            if row["operation"]:
                about = [row["operation"], about[0], f"exact by {row['exact']}", about[1]]
            print(f"  {row['name']:12} {row['summary']}")
            print(f"  {'':12} {'; '.join(filter(None, about))}")
            if name is not None:
                print(f"\n{row['description']}\n")
                for parameter, default in row["parameters"].items():
                    print(f"  {parameter} = {default}")


def _rows() -> list[dict[str, Any]]:
    from videopipe import compress, select

    return [
        *(_row("selector", name, select.method(name)) for name in select.methods()),
        *(_row("compressor", name, compress.method(name)) for name in compress.methods()),
    ]


def _row(kind: str, name: str, method: Any) -> dict[str, Any]:
    text = re.sub(r":\w+:`([^`]*)`", r"\1", getdoc(method) or "").replace("``", "")
    summary, _, rest = text.partition("\n\n")
    return {
        "kind": kind,
        "name": name,
        "summary": " ".join(summary.split()),
        "description": rest.strip(),
        "needs": sorted(method().needs),
        "paper": getattr(method, "paper", ""),
        "operation": getattr(method, "kind", None),
        "exact": getattr(method, "exact", None),
        "parameters": _parameters(method),
    }


def _parameters(method: Any) -> dict[str, Any]:
    if is_dataclass(method):
        return {f.name: f.default for f in fields(method) if f.default is not MISSING}
    given = signature(method).parameters.values()
    return {p.name: p.default for p in given if p.default is not p.empty}
