"""Students of every architecture of a space are made, also where axes size what the dimension map does not follow."""

import torch
from datasets import Dataset
from transformers import LlamaConfig, LlamaForSequenceClassification

from export.tiny_text import WORDS, tiny_tokenizer
from optimum_ose.optimizer.students import StudentMaker
from optimum_ose.optimizer.teacher_task import TeacherTask


def test_a_llama_whose_heads_vary_in_width_has_students_and_is_its_own_largest() -> None:
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 40}
    special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    teacher = LlamaForSequenceClassification(LlamaConfig(vocab_size=len(WORDS), **sizes, **special)).eval()
    tokenizer = tiny_tokenizer(segments=False)
    task = TeacherTask(teacher, tokenizer, task="text-classification")
    space = task.search_space()
    assert len(space.axes["head_dim"]) > 1
    rows = task.rows(Dataset.from_dict({"text": ["the cat sat", "a good movie ."] * 8}), needs_labels=False)
    make = StudentMaker(teacher, tokenizer, task="text-classification", rows=rows)
    largest = make(space.maximum_point)
    assert all(torch.equal(own, new) for own, new in zip(teacher.parameters(), largest.parameters(), strict=True))
    smallest = space.candidates[0]
    narrow = max((found for found in space if found["head_dim"] < 12), key=lambda found: found["hidden_size"])
    for architecture in (smallest, narrow):
        student = make(architecture)
        assert student.config.head_dim == architecture["head_dim"]
        assert student.num_parameters() == space.parameter_size([architecture])[0]
