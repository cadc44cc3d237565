"""A text for each text: a translation, a summary, an answer."""

from functools import partial
from typing import Any

from optimum_ose.serving.inputs import checked_text
from optimum_ose.serving.sequence_model import SequenceModel
from optimum_ose.serving.served_task import DirectTask, Options, ServedTask

_PYTHON = """from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({model})
model = AutoModelForSeq2SeqLM.from_pretrained({model})
written = model.generate(**tokenizer({example}, return_tensors="pt"))
print(tokenizer.decode(written[0], skip_special_tokens=True))"""


def _answer(model: SequenceModel, inputs: Any, options: Options) -> Any:
    texts = [checked_text(item) for item in (inputs if isinstance(inputs, list) else [inputs])]
    found = model.texts(
        texts,
        max_new_tokens=options.max_new_tokens,
        num_beams=options.num_beams,
        batch_size=options.batch_size,
    )
    return [{"generated_text": text} for text in found]


def _load(model: SequenceModel) -> DirectTask:
    return DirectTask(answer=partial(_answer, model), refusal="writes token after token", trial="A")


SERVED = ServedTask(
    load=_load,
    reads="sources",
    heads=("ForConditionalGeneration", "MTModel"),
    is_on_cards=True,
    is_in_transformers=False,
    python=_PYTHON,
)
"""What is written of a text."""
