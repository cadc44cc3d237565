"""Exact match and F1 of answers in words, as SQuAD defines them.

Source: Rajpurkar et al., arXiv:1606.05250, and the evaluation of SQuAD 1.1: case, punctuation, articles and spaces do
not count; of several right answers the one that fits best does.
"""

import re
import string
from collections import Counter

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def plain_answer(text: str) -> str:
    """An answer without case, punctuation, articles and further spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(found: str, right: str) -> float:
    """1 if both say the same, else 0."""
    return float(plain_answer(found) == plain_answer(right))


def word_f1(found: str, right: str) -> float:
    """F1 of the words of two answers, in [0, 1]."""
    words, wanted = plain_answer(found).split(), plain_answer(right).split()
    shared = sum((Counter(words) & Counter(wanted)).values())
    if not words or not wanted:
        return float(words == wanted)
    return 2 * shared / (len(words) + len(wanted))
