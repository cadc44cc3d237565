"""What one row of GLUE, SuperGLUE or RACE becomes: texts with a label, one for each answer to choose from."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from optimum_ose.data.answer_words import plain_answer, word_f1

Row = Mapping[str, Any]


class Example(NamedTuple):
    """One text, or pair of texts."""

    text: str
    text_pair: str | None
    label: Any
    """A class by index or name, or a number."""
    credit: float | None = None
    """Of an answer to choose from, what choosing it earns; None: nothing but whether it is right."""


def single(text: str) -> Callable[[Row], Sequence[Example]]:
    """Rows of one text, in a column."""
    return lambda row: [Example(row[text], None, row["label"])]


def pair(text: str, other: str) -> Callable[[Row], Sequence[Example]]:
    """Rows of two texts, in two columns."""
    return lambda row: [Example(row[text], row[other], row["label"])]


def copa(row: Row) -> Sequence[Example]:
    """A premise and each of two alternatives."""
    link = {"cause": "because", "effect": "so"}[row["question"]]
    return [
        Example(row["premise"], f"{link} {row[choice]}", int(int(float(row["label"])) == index))
        for index, choice in enumerate(("choice1", "choice2"))
    ]


def multirc(row: Row) -> Sequence[Example]:
    """A paragraph, and a question with one of its answers."""
    return [Example(row["paragraph"], f"{row['question']} {row['answer']}", row["label"])]


def multirc_question(row: Row) -> Hashable:
    """Rows of one question: their numbers, where the benchmark gives them, else their texts."""
    index = row.get("idx")
    if isinstance(index, Mapping) and {"paragraph", "question"} <= index.keys():
        return int(index["paragraph"]), int(index["question"])
    return str(row["paragraph"]), str(row["question"])


def record(row: Row) -> Sequence[Example]:
    """A passage, and its query with each entity in the gap; the credit is the F1 of its words."""
    answers = [str(answer) for answer in row["answers"]]
    right = {plain_answer(answer) for answer in answers}
    return [
        Example(
            row["passage"],
            row["query"].replace("@placeholder", entity),
            int(plain_answer(entity) in right),
            max(word_f1(entity, answer) for answer in answers),
        )
        for entity in dict.fromkeys(row["entities"])
    ]


def wic(row: Row) -> Sequence[Example]:
    """A word with two sentences."""
    return [Example(f"{row['word']}: {row['sentence1']}", row["sentence2"], row["label"])]


def wsc(row: Row) -> Sequence[Example]:
    """A text, and what its pronoun may stand for."""
    return [Example(row["text"], f"{row['span2_text']} is {row['span1_text']}", row["label"])]


def race(row: Row) -> Sequence[Example]:
    """An article, and a question with each of its options."""
    right = "ABCD".index(row["answer"])
    return [
        Example(row["article"], f"{row['question']} {option}", int(index == right))
        for index, option in enumerate(row["options"])
    ]


def minimal_pair(row: Row) -> Hashable:
    """Rows of AX-g that differ in the gender of a pronoun; None: the file does not say which they are."""
    found = row.get("pair_id")
    return None if found is None or found != found else str(found)
