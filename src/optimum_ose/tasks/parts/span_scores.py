"""Mean scores of answers in words."""

from collections.abc import Sequence

from optimum_ose.data.answer_words import exact_match, word_f1


def answer_scores(found: Sequence[str], right: Sequence[Sequence[str]]) -> dict[str, float]:
    """Mean exact match and F1 over questions, both in [0, 1].

    Args:
        found: one answer for each question.
        right: all right answers of each question.
    """
    pairs = list(zip(found, right, strict=True))
    return {
        "exact_match": sum(max(exact_match(text, item) for item in items) for text, items in pairs) / len(pairs),
        "f1": sum(max(word_f1(text, item) for item in items) for text, items in pairs) / len(pairs),
    }
