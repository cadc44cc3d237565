"""Claims about rows, keys and labels."""

import numpy as np
import pytest
import torch

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.finetuning.pool import labeled_rows, row_key

NAMES = ("input_ids", "token_type_ids", "attention_mask")


def test_padding_does_not_change_the_key_of_a_row(tokenizer):
    assert row_key(tokenizer("the cat", padding="max_length", max_length=9)) == row_key(tokenizer("the cat"))


def test_rows_without_a_mask_have_keys_too():
    assert row_key({"input_ids": torch.tensor([3, 1, 2])}) == (3, 1, 2)


def test_only_model_inputs_and_labels_are_kept(tokenizer):
    rows = [{**tokenizer("the cat"), "labels": np.int64(1), "text": "the cat"}]
    features, labels = labeled_rows(rows, input_names=NAMES)
    assert labels == [1]
    assert set(features[0]) == set(NAMES)


@pytest.mark.parametrize("label", [1, np.int64(1), torch.tensor(1)])
def test_a_class_index_may_come_from_python_numpy_or_torch(tokenizer, label):
    assert labeled_rows([{**tokenizer("the cat"), "labels": label}], input_names=NAMES)[1] == [1]


@pytest.mark.parametrize("labels", [None, 0.5, "cat", [0, 1], np.array([1]), torch.tensor([1]), torch.tensor(0.5)])
def test_a_row_without_one_class_index_is_refused(tokenizer, labels):
    with pytest.raises(InvalidDataError, match=r"the latter one class index; row 0 has .* rename its label column"):
        labeled_rows([{**tokenizer("the cat"), "labels": labels}], input_names=NAMES)


def test_an_untokenized_row_is_refused():
    with pytest.raises(InvalidDataError, match=r"row 0 has the columns \['labels', 'text'\].*Tokenize the data set"):
        labeled_rows([{"text": "the cat", "labels": 0}], input_names=NAMES)


def test_an_empty_set_is_refused():
    with pytest.raises(InvalidDataError, match=r"at least one row; it has none\. Check the split's name"):
        labeled_rows([], input_names=NAMES)
