"""Ask the hour-long demonstration video everything it does and does not answer.

    python pipelines/eval_demo.py [--dir demo] [--json FILE]

For each question: whether every citation lies inside a true interval (a second of tolerance at the
edges), whether the expected words are in the answer, and the best score. Questions that the video
does not answer must be refused. The video and its library are made on first use.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from videopipe import ask, index
from videopipe.evaluate.demo import ensure_demo

EDGE_SECONDS = 1.0


def squeezed(text: str) -> str:
    """Letters and digits only: recognition may add or lose spaces."""
    return re.sub(r"\W", "", text.casefold())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, default=Path("demo"))
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    video = ensure_demo(options.dir / "demo.mp4")
    library = options.dir / "library"
    index(video.path, library)
    rows = []
    for asked in (*video.questions, *video.more_questions):
        answer = ask(asked.question, library=library)
        inside = [
            any(
                start - EDGE_SECONDS <= citation.start and citation.end <= end + EDGE_SECONDS
                for start, end in asked.intervals
            )
            for citation in answer.citations
        ]
        rows.append(
            {
                "question": asked.question,
                "channel": asked.channel,
                "answerable": bool(asked.intervals),
                "found": answer.found,
                "citations": len(inside),
                "inside": sum(inside),
                "words": answer.found and squeezed(asked.answer) in squeezed(answer.text),
                "score": round(max((c.score for c in answer.citations), default=0.0), 3),
            }
        )
    print(f"{'channel':10} {'score':>5} {'cited inside':>12} {'words':>5}  question")
    for row in rows:
        inside = f"{row['inside']}/{row['citations']}" if row["citations"] else "-"
        words = "yes" if row["words"] else "no"
        channel = row["channel"] or "none"
        print(f"{channel:10} {row['score']:5.2f} {inside:>12} {words:>5}  {row['question']}")
    good = [row for row in rows if row["answerable"]]
    other = [row for row in rows if not row["answerable"]]
    print(
        f"answerable: {sum(r['inside'] > 0 for r in good)}/{len(good)} with a citation inside, "
        f"{sum(r['inside'] == r['citations'] > 0 for r in good)} with all of them inside, "
        f"{sum(r['words'] for r in good)} with the expected words; "
        f"not answered by the video: {sum(not r['found'] for r in other)}/{len(other)} refused"
    )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
