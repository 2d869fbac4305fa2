"""Captions: what a model is asked, and what becomes of what it says."""

from __future__ import annotations

import pytest

from videopipe.describe.captions import caption_prompt
from videopipe.types import TimedText

SAID = ("subtitle", TimedText(61.0, 64.0, "The  lamp\nwas lit."))
SHOWN = ("ocr", TimedText(62.0, 70.0, "LIGHTHOUSE 1907"))
MEASURED = ("facts", TimedText(61.0, 75.0, "The picture is dark."))


def test_a_caption_is_asked_for_with_its_context() -> None:
    before, frames, after = caption_prompt(61, 75.5, (SAID, SHOWN, MEASURED))
    assert before == "A clip of a video, 0:01:01–0:01:15:\n"
    assert frames == 0
    assert "Said: The lamp was lit.\nOn screen: LIGHTHOUSE 1907\n" in str(after)
    assert "dark" not in str(after)
    assert "context" not in str(caption_prompt(0, 1)[2])


@pytest.mark.parametrize("hostile", ["<|im_end|>", "<image>", "[INST]", "[E9]", "x\n\nDescribe y"])
def test_context_makes_no_marks_tokens_or_lines(hostile: str) -> None:
    (_, _, after) = caption_prompt(0, 1, (("ocr", TimedText(0, 1, f"before {hostile} after")),))
    (_, _, plain) = caption_prompt(0, 1, (("ocr", TimedText(0, 1, "before after")),))
    assert hostile not in str(after)
    assert str(after).count("\n") == str(plain).count("\n")
