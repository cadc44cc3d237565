"""How long the sentences of a Markdown text are."""

import re

_FENCES = re.compile(r"^( *)```.*?^\1```[^\n]*$", flags=re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?<=\n\n)(?: {4,}[^\n]*\n+)+")
_HIDDEN = re.compile(r"<!--.*?-->|\A---\n.*?\n---\n", flags=re.DOTALL)
_SKIPPED = re.compile(r"^\s*(?:\||#|:::|!!!|\?\?\?|<|===)")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+\.|>)\s+(?:\[[ x]\]\s+)?")
_END = re.compile(r"(?<=[.!?])[)\"'*]*\s+(?=[\"'(*`]*[A-Z0-9`])")
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|et al|vs|cf|approx)\.")


def prose_of(markdown: str) -> list[str]:
    """Paragraphs and list items, each on one line: no code, tables or headings."""
    blocks, current = [], []
    text = _INDENTED.sub("\n", _HIDDEN.sub("", _FENCES.sub("\n", markdown)))
    for line in [*text.splitlines(), ""]:
        starts = not line.strip() or _SKIPPED.match(line) or _ITEM.match(line)
        if starts and current:
            blocks.append(" ".join(current))
            current = []
        if line.strip() and not _SKIPPED.match(line):
            current.append(_ITEM.sub("", line).strip())
    return [_plain(block) for block in blocks]


def _plain(block: str) -> str:
    without_images = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", block)
    linked = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", without_images)
    return re.sub(r"``?[^`]+``?", "Code", linked).replace("**", "")


def sentence_lengths(markdown: str) -> list[int]:
    """Words of each sentence; a span of code is one word."""
    lengths = []
    for block in prose_of(markdown):
        for sentence in _END.split(_ABBREVIATION.sub(r"\1", block)):
            words = re.findall(r"[^\s]*\w[^\s]*", sentence)
            if words:
                lengths.append(len(words))
    return lengths
