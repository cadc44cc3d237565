"""Plain texts, from which language models learn: with masks, or in packed blocks."""

from typing import Any, cast

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from optimum_ose.data.packing import packed_blocks, token_lines
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks.parts.inputs import RowSettings
from optimum_ose.tasks.parts.token_rows import require_column
from optimum_ose.tasks.parts.unlabeled import UnlabeledTexts

_PROMPT_WORDS = 8
"""With which a text is begun that a model continues."""


def _rows(dataset: Dataset, settings: RowSettings) -> Dataset:
    require_column(dataset, "text")
    tokenizer = cast(PreTrainedTokenizerBase, settings.preprocessor)
    texts = dataset.select_columns(["text"])
    return token_lines(texts, tokenizer, max_length=settings.max_length, on_cut=settings.on_cut)


def _blocks(dataset: Dataset, settings: RowSettings) -> Dataset:
    require_column(dataset, "text")
    tokenizer = cast(PreTrainedTokenizerBase, settings.preprocessor)
    return packed_blocks(dataset.select_columns(["text"]), tokenizer, max_length=settings.max_length)


def _fillings(pipeline: OnnxPipeline, dataset: Dataset) -> list[dict[str, Any]]:
    """A word in the middle of each text is masked."""
    found = []
    for text in dataset["text"]:
        words = text.split()
        place = len(words) // 2
        masked = " ".join([*words[:place], pipeline.trial_text, *words[place + 1 :]])
        answers = pipeline([masked], top_k=1)
        best = answers[0][0] if isinstance(answers[0], list) else answers[0]
        told = {"label": best["token_str"].strip(), "score": best["score"]}
        found.append({"text": masked, "gold": words[place], **told})
    return found


def _continuations(pipeline: OnnxPipeline, dataset: Dataset) -> list[dict[str, Any]]:
    """The beginning of each text is continued."""
    prompts = [" ".join(text.split()[:_PROMPT_WORDS]) for text in dataset["text"]]
    found = [pipeline(prompt)[0]["generated_text"] for prompt in prompts]
    return [{"text": prompt, "label": text.removeprefix(prompt)} for prompt, text in zip(prompts, found, strict=True)]


MASKED_TEXTS = UnlabeledTexts(make_rows=_rows, sample=_fillings)
"""Texts in which words are masked."""
CONTINUED_TEXTS = UnlabeledTexts(make_rows=_blocks, sample=_continuations)
"""Texts that are continued."""
