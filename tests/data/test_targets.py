"""Labels of every kind are read, checked, numbered, and laid onto tokens."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from datasets import ClassLabel, Dataset

from optimum_ose.data.batching import language_collator, pad_rows
from optimum_ose.data.columns import Columns
from optimum_ose.data.labels import align_labels, class_names
from optimum_ose.data.reading import read_tables
from optimum_ose.data.splits import make_splits
from optimum_ose.data.targets import Kind, kind_of_values
from optimum_ose.data.tokenization import TEACHER_LOGITS, tokenize, unlabeled_rows
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.tasks.parts.by_problem_type import require_fitting_head
from themes import VOCABULARY, teacher_config, word_tokenizer
from tiny_tokenizer import word_piece_tokenizer

CONLL = "the O\nold\tO\ncat B-animal\n\t\nmy O\nsoup B-food\njam I-food\n"
PIECES = word_piece_tokenizer([*VOCABULARY, "##s"])


def tagged(sentences: int = 20) -> pd.DataFrame:
    words = [["the", "cat", str(number)] for number in range(sentences)]
    return pd.DataFrame({"tokens": words, "ner_tags": [["O", "B-animal", "O"]] * sentences})


def test_a_conll_file_holds_a_word_a_line(tmp_path: Path) -> None:
    (tmp_path / "rows.conll").write_text(CONLL)
    table = read_tables(str(tmp_path / "rows.conll"))["train"]
    assert table["tokens"].to_list() == [["the", "old", "cat"], ["my", "soup", "jam"]]
    assert table["tags"].to_list() == [["O", "O", "B-animal"], ["O", "B-food", "I-food"]]


def test_a_word_without_a_tag_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "rows.conll").write_text("the O\ncat\n")
    with pytest.raises(InvalidDataError, match="line 2 is not `word tag`"):
        read_tables(str(tmp_path / "rows.conll"))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b"], "class"),
        ([0, 1, 2], "class"),
        ([0.0, 1.0], "class"),
        ([0.0, 2.5], "number"),
        ([["a"], []], "classes"),
        ([True, False], "class"),
        ([2**53 + 1, 2**53, 1.5], "class"),
        ([2**53, 1.5], "number"),
        ([10**400, 1.5], "class"),
    ],
)
def test_labels_are_what_they_look_like(values: list[object], kind: Kind) -> None:
    assert kind_of_values(values) == kind


def test_the_user_may_say_that_whole_numbers_are_numbers() -> None:
    table = pd.DataFrame({"text": [f"row {n}" for n in range(30)], "label": [n % 5 for n in range(30)]})
    splits = make_splits({"train": table}, Columns(problem_type="regression"), seed=0)
    assert splits.kind == "number"
    assert splits.label_names == ()
    assert set(splits.train["label"]) <= {0.0, 1.0, 2.0, 3.0, 4.0}


def test_words_with_tags_make_three_splits() -> None:
    splits = make_splits({"train": tagged()}, Columns(), seed=0, task="token-classification")
    assert splits.label_names == ("B-animal", "O")
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 20
    assert splits.train["label"][0] == [1, 0, 1]
    assert class_names(splits.train) == ["B-animal", "O"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ner_tags": [["O"]]}, "must hold a list of tags, one for each word in every row; 1 of 1 rows of train"),
        ({"tokens": ["the cat 0"]}, "'tokens' must hold a list of words in every row"),
        ({"ner_tags": ["O O O"]}, "'ner_tags' must hold a list of tags, one for each word"),
    ],
)
def test_words_that_do_not_fit_their_tags_are_refused(change: dict[str, list[object]], message: str) -> None:
    table = tagged(1).assign(**change)
    with pytest.raises(InvalidDataError, match=message):
        make_splits({"train": table}, Columns(), seed=0, are_words=True)


def test_a_number_that_is_none_is_refused() -> None:
    table = pd.DataFrame({"text": ["a", "b"], "label": [0.5, float("inf")]})
    with pytest.raises(InvalidDataError, match="must hold a finite number in every row; 1 of 2"):
        make_splits({"train": table}, Columns(), seed=0)


def test_a_tag_labels_the_first_token_of_its_word_and_nothing_else() -> None:
    rows = make_splits(
        {
            "train": pd.DataFrame({"tokens": [["the", "cats"]] * 9, "tags": [["O", "B-x"]] * 9})
            .assign(tokens=lambda table: [["the", "cats", str(n)] for n in range(9)])
            .assign(tags=lambda table: [["O", "B-x", "O"]] * 9)
        },
        Columns(),
        seed=0,
        are_words=True,
    ).train
    token_rows = tokenize(rows, PIECES, max_length=16)
    tokens = PIECES.convert_ids_to_tokens(token_rows["input_ids"][0])
    assert tokens[:4] == ["[CLS]", "the", "cat", "##s"]
    assert token_rows["labels"][0][:4] == [-100, 1, 0, -100]


def test_sets_of_classes_are_vectors_and_numbers_floats() -> None:
    table = pd.DataFrame({"text": [f"the {n}" for n in range(20)], "label": [["a", "b"], [], ["b"], ["a"]] * 5})
    splits = make_splits({"train": table}, Columns(), seed=0)
    found = tokenize(splits.train, word_tokenizer(), max_length=8)
    wanted = [[float(index in label) for index in range(2)] for label in splits.train["label"]]
    assert found["labels"][:] == wanted


def test_sets_of_classes_get_the_numbers_of_the_teachers_head() -> None:
    table = pd.DataFrame({"text": [f"the {n}" for n in range(20)], "label": [["food", "tools"], ["animals"]] * 10})
    rows = make_splits({"train": table}, Columns(), seed=0).train
    config = teacher_config(
        id2label={0: "Tools", 1: "food", 2: "animals"}, label2id={"Tools": 0, "food": 1, "animals": 2}
    )
    aligned = align_labels(rows, config)
    assert {tuple(label) for label in aligned["label"]} == {(1, 0), (2,)}


def test_numbers_need_a_head_of_one_output() -> None:
    with pytest.raises(InvalidDataError, match="must have a head of one output; this one has 3"):
        require_fitting_head("number", teacher_config())


def test_tags_and_the_teachers_answers_to_tokens_are_padded() -> None:
    rows = [
        {
            "input_ids": [2, 5, 3],
            "attention_mask": [1, 1, 1],
            "labels": [-100, 1, -100],
            TEACHER_LOGITS: [[1.0], [2], [3]],
        },
        {"input_ids": [2, 3], "attention_mask": [1, 1], "labels": [-100, -100], TEACHER_LOGITS: [[4.0], [5]]},
    ]
    batch = pad_rows(word_tokenizer())(rows)
    assert batch["labels"].tolist() == [[-100, 1, -100], [-100, -100, -100]]
    assert batch[TEACHER_LOGITS].squeeze(-1).tolist() == [[1, 2, 3], [4, 5, 0]]


@pytest.mark.parametrize(
    ("labels", "none"), [([1, 2], -100), ([0.5, 1.0], None), ([[1, -100], [0, 0]], [-100] * 3), ([[0.0], [1.0]], None)]
)
def test_rows_without_labels_get_marks_of_the_same_kind(labels: list[object], none: object) -> None:
    like = Dataset.from_dict({"input_ids": [[2, 3], [2, 3]], "labels": labels})
    (found,) = unlabeled_rows(Dataset.from_dict({"input_ids": [[2, 5, 3]]}), like=like)["labels"]
    missing = torch.as_tensor(found)
    assert found == none if none is not None else missing.isnan().all()


def test_masks_are_a_function_of_seed_and_rows() -> None:
    rows = [{"input_ids": [2, *range(5, 25), 3], "attention_mask": [1] * 22} for _ in range(3)]
    first, again, other = (
        language_collator(word_tokenizer(), masked=True, seed=seed)(rows)["labels"] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert set(first[first != -100].tolist()) <= set(range(5, 25))


def test_class_names_of_lists_without_names_are_their_values() -> None:
    rows = Dataset.from_dict({"tokens": [["a", "b"]], "label": [[3, 1]]})
    assert class_names(rows) == ["1", "3"]
    assert ClassLabel(names=class_names(rows)).num_classes == 2
