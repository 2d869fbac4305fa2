"""Decoding beside decord, OpenCV, PyAV, torchcodec and ffmpeg: CPU, wall time and peak memory.

    python pipelines/bench_decode.py [--work DIR] [--rounds 5] [--json FILE]
        [--only scan codecs sparse workers memory] [--files 360p 720p-gop250 ...] [--minutes 60]

- scan: one frame a second at 224 of an hour of H.264 in 360p, 720p and 1080p, and of ten minutes
  without B-frames; codecs: of ten minutes of HEVC, VP9 and AV1
- sparse: 64 and 256 frames at 448, spread evenly over the hour
- workers: two workers beside one and beside ffmpeg with two threads; needs two cores at rest
- memory: a scan beside one get_batch, ten hours beside one, 500 files one after another

The ffmpeg program makes the films once in the folder of --work, a temporary one by default. Every
side is a fresh process with one decoding thread unless it says two (decord takes what threads it
likes); the sides take turns, on files that the page cache holds already. Figures are medians over
the rounds. CPU is user + system seconds of a process and its children, "net" the same less its
start and imports, RSS the peak of the largest process. Ratios to ffmpeg are of whole processes;
ratios between Python libraries and between one and two workers are net on both sides, so that
nobody's imports count. A side that cannot run is shown as "–" with the reason.

A JSON file that exists already keeps what was not measured anew.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from statistics import median
from threading import Timer
from typing import Any

from _bench_cases import PARTS, Case, Claim, Row, Rows, cases
from _bench_films import FILMS, CannotMake

_LIMIT_SECONDS = 3600  # for one process: decord can hang for ever
# No side may compute with more threads than it is told to.
_ENVIRONMENT = os.environ | dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
_MB = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # of ru_maxrss


def run_once(command: list[str]) -> Row:
    """One process from start to end: its CPU and wall seconds, its peak RSS, what it says."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as complaints:
        began = time.monotonic()
        process = subprocess.Popen(
            command, stdout=out, stderr=complaints, env=_ENVIRONMENT, start_new_session=True
        )
        timer = Timer(_LIMIT_SECONDS, _kill, (process.pid,))
        timer.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            _kill(process.pid)
            raise
        finally:
            timer.cancel()
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        complaints.seek(0)
        if process.returncode:
            return {"reason": _failure(process.returncode, wall, complaints.read())}
        row = _said(out.read())
    if "reason" in row:
        return row
    row["cpu_s"] = used.ru_utime + used.ru_stime
    row["wall_s"] = wall
    row["rss_mb"] = used.ru_maxrss / _MB
    row["net_cpu_s"] = row["cpu_s"] - row.get("start_cpu_s", 0.0)
    row["net_wall_s"] = row["wall_s"] - row.get("start_wall_s", 0.0)
    return row


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _said(text: str) -> Row:
    """The JSON of a Python side, or the last frame count of ffmpeg's progress."""
    lines = text.splitlines()
    found = [line for line in lines if line.startswith("{")]
    if found:
        return dict(json.loads(found[-1]))
    counts = [line.partition("=")[2] for line in lines if line.startswith("frame=")]
    return {"frames": int(counts[-1])} if counts else {}


def _failure(code: int, wall: float, complaints: str) -> str:
    if code < 0:
        late = wall >= _LIMIT_SECONDS
        return f"no end in {_LIMIT_SECONDS} s" if late else f"ended by {signal.Signals(-code).name}"
    last = complaints.strip().splitlines()[-1:] or ["no reason given"]
    return f"exit code {code}: {last[0][:120]}"


def measure(case: Case, rounds: int) -> Rows:
    """The medians of each side; the sides take turns, and each round begins with another."""
    for path in case.paths:
        _warm(path)
    names = list(case.sides)
    runs: dict[str, list[Row]] = {name: [] for name in names}
    for number in range(rounds):
        begin = number % len(names)
        for name in names[begin:] + names[:begin]:
            if runs[name] and "reason" in runs[name][-1]:
                continue
            run = run_once(case.sides[name]())
            runs[name].append(run)
            shown = run.get("reason") or f"{run['cpu_s']:.2f} CPU s, {run['wall_s']:.2f} s"
            print(f"  round {number + 1}, {name}: {shown}", file=sys.stderr, flush=True)
    return {name: _medians(some) for name, some in runs.items()}


def _medians(runs: list[Row]) -> Row:
    if "reason" in runs[-1]:
        return runs[-1]
    return {figure: median(run[figure] for run in runs) for figure in runs[0]} | {"runs": runs}


def _warm(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(1 << 20):
            pass


def show(case: Case, rows: Rows, claims: list[Claim]) -> None:
    """One table; its last column is what is demanded of the side."""
    print(f"\n{case.part} · {case.name}: {case.note}")
    print(
        f"{'side':29} {'CPU s':>8} {'net':>8} {'wall s':>8} {'RSS MB':>8} {'frames':>7} "
        f"{'off, s':>6}  demanded"
    )
    for name, row in rows.items():
        if "reason" in row:
            print(f"{name:29} {'–':>8} {row['reason']}")
            continue
        frames = f"{row['frames']:.0f}" if "frames" in row else ""
        off = f"{row['off_by_s']:.3f}" if "off_by_s" in row else ""
        demanded = "; ".join(str(claim) for claim in claims if claim.side == name)
        line = (
            f"{name:29} {row['cpu_s']:8.2f} {row['net_cpu_s']:8.2f} {row['wall_s']:8.2f} "
            f"{row['rss_mb']:8.1f} {frames:>7} {off:>6}  {demanded}"
        )
        print(line.rstrip())
    sys.stdout.flush()


def show_check(film: str, row: Row) -> None:
    """Whether ours are the right frames, and what kind of film it is."""
    if "reason" in row:
        print(f"\ncheck · {film}: – {row['reason']}")
        return
    alike = "the same" if row["two_workers_alike"] else "OTHERS"
    print(
        f"\ncheck · {film}: {row['wrong']} of {row['frames']} exact frames are not those of a "
        f"sequential decode by PyAV (pixels differ by {row['mean_abs_difference']:.2f} on average, "
        f"at worst); two workers give {alike}. {row['b_share']:.0%} of the frames are B, "
        f"{row['mean_gop']:.0f} lie between key frames.",
        flush=True,
    )


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    ffmpeg = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True).stdout
    versions = {"ffmpeg": ffmpeg.split("Copyright")[0].removeprefix("ffmpeg version").strip()}
    for library in ("av", "decord", "opencv-python", "torchcodec", "torch"):
        with suppress(metadata.PackageNotFoundError):
            versions[library] = metadata.version(library)
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="keep the films in this folder, about 12 GB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--files", nargs="+", choices=FILMS, default=list(FILMS))
    parser.add_argument(
        "--minutes", type=float, default=60, help="that an hour lasts; less for a quick try"
    )
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    if not shutil.which("ffmpeg"):
        parser.error("ffmpeg is not on the PATH; install it: it makes the films and the floors")
    if options.rounds < 1 or options.minutes < 0.5:
        parser.error("--rounds begins at 1 and --minutes at 0.5")
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        try:
            compare(options, work)
        except CannotMake as error:
            sys.exit(str(error))


def compare(options: argparse.Namespace, work: Path) -> None:
    figures: dict[str, Any] = {"checks": {}, "cases": {}}
    if options.json and options.json.exists():
        figures |= json.loads(options.json.read_text())
    figures["machine"] = machine()
    about = figures["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    print(f"{about['processor']}, {about['cores']} cores; Python {about['python']}, {versions}")
    print(f"medians of {options.rounds}")
    if options.minutes != 60:
        print(f"an hour lasts {options.minutes:g} min here: ratios are only indicative")

    checked: set[str] = set()
    lines: list[str] = []
    for case in cases(options.only, options.files, work, options.minutes):
        if case.check and case.film not in checked:
            checked.add(case.film)
            figures["checks"][case.film] = run_once(case.check())
            show_check(case.film, figures["checks"][case.film])
        rows = measure(case, options.rounds)
        claims = case.claims(rows)
        show(case, rows, claims)
        lines += [f"{case.part} · {case.name} · {claim.side} · {claim}" for claim in claims]
        figures["cases"][f"{case.part} · {case.name}"] = {
            "note": case.note,
            "rounds": options.rounds,
            "minutes": options.minutes,
            "sides": rows,
            "claims": [asdict(claim) | {"met": claim.met} for claim in claims],
        }
        if options.json:
            options.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    print("\nclaims")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
