"""What kind of question is asked, by its words (English)."""

from __future__ import annotations

import re

from videopipe.types import Asks

_FILM = r"(?:video|film|movie|clip|footage|recording|lecture|talk|walk|tour|story|episode)"
_BESIDE = (
    r"(?:(?:directly )?(?:to the )?(?:left|right) (?:side )?of|in front of|behind|next to|beside"
    r"|opposite|between|adjacent to|nearest|closest|farthest|furthest)"
)
_SPACE = re.compile(
    r"\b(?:layout|floor ?plan|blueprint|how many rooms|which rooms?|rooms? .*connect\w*|corridors?"
    r"|hallways?|furniture|surroundings|spatial|map of|arranged|arrangement of"
    r"|how far|distance (?:between|from|to)|how (?:big|large|wide|tall|high) (?:is|are|was|were)"
    r"|square (?:metres|meters|feet)|route|(?:way|path) (?:from|to)|turn(?:s|ed)? (?:left|right)"
    rf"|(?:what|who|which \w+) (?:is|are|was|were|stands?|lies|hangs) {_BESIDE}"
    rf"|where (?:is|are|was|were|does|do) .*\b(?:relative|located|placed|{_BESIDE}))\b",
    re.IGNORECASE,
)
_OVERVIEW = re.compile(
    r"\b(?:summary|summari[sz]e|overview|gist|overall|in general|main (?:topics?|subjects?|points?"
    rf"|ideas?|themes?|events?)|(?:whole|entire) {_FILM}|throughout|all (?:scenes|parts|chapters)"
    rf"|(?:what|which topics?)(?:'s| is| was| are)? (?:this|the|that|it)? ?{_FILM}? ?(?:all )?about"
    rf"|describe (?:this|the|that) {_FILM}|what happens(?: in (?:this|the|that) {_FILM})?\W*$"
    rf"|kind of {_FILM}|genre|how many (?:scenes|shots|parts|chapters) (?:are|is|does|do|has|have)"
    rf"|how (?:does|do|did) .+ (?:change|develop|evolve|progress)"
    rf"|(?:over|in|during|across) the course of (?:the|this|that) {_FILM}"
    r"|(?:sequence|order) of (?:events|scenes)|in which order"
    r"|from (?:the )?(?:beginning|start) to (?:the )?end)\b",
    re.IGNORECASE,
)


def asks_about(question: str) -> Asks:
    """Whether a question is about space and layout, about the whole video, or about a content."""
    if _OVERVIEW.search(question):
        return "overview"
    return "space" if _SPACE.search(question) else "content"
