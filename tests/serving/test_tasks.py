"""The ONNX pipeline gives what the transformers pipeline of each task gives."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForTokenClassification,
    BertConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    pipeline,
)

from export.tiny_text import BERT_SIZES, WORDS, save, tiny_tokenizer
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.serving import OnnxPipeline
from serving.test_pipeline import assert_same

PIECES = ["the", "cats", "catsing", "sat", "on", "a", "mat", "goods", "bad", "movie", "filming", ".", "dog", "é", "🙂"]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=20).map(" ".join)
LABELS = dict(enumerate(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "other"]))
AGGREGATIONS = ("none", "simple", "first", "average", "max")
Exported = tuple[OnnxPipeline, PreTrainedModel, PreTrainedTokenizerFast]


def word_pieces() -> PreTrainedTokenizerFast:
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return tokenizer


def whole_words() -> PreTrainedTokenizerFast:
    """Without a mark for word pieces and without a decoder; padded on the left; ends texts with [SEP]."""
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "eos_token": "[SEP]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **names,
        model_max_length=64,
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
    )


def exported(
    family: Any,
    config: Any,
    folder: Path,
    make: Callable[[], PreTrainedTokenizerFast] = word_pieces,
    *,
    seed: int = 0,
    **options: Any,
) -> Exported:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = family.from_config(config).eval()
    tokenizer = make()
    save(model, folder, tokenizer=make())
    export_onnx(model, tokenizer, folder, **options)
    return OnnxPipeline.from_pretrained(folder, num_threads=1), model, tokenizer


def plain(value: Any) -> Any:
    """Numbers of numpy as those of Python."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


@pytest.fixture(scope="module", params=[word_pieces, whole_words], ids=["word pieces", "words"])
def tagger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    config = BertConfig(**{**BERT_SIZES, "initializer_range": 0.4}, id2label=LABELS)
    return exported(AutoModelForTokenClassification, config, tmp_path_factory.mktemp("tagger"), request.param, seed=1)


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@settings(max_examples=15, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_entities_have_the_labels_scores_words_and_places_of_transformers(
    tagger: Exported, aggregation: Any, texts: list[str]
) -> None:
    served, model, tokenizer = tagger
    assert served.task == "token-classification"
    reference = pipeline("token-classification", model=model, tokenizer=tokenizer, device="cpu")
    for inputs in (texts[0], texts):
        expected = plain(reference(inputs, aggregation_strategy=aggregation))
        assert_same(served(inputs, aggregation_strategy=aggregation), expected)


def test_the_tagger_of_these_tests_joins_pieces_and_groups(tagger: Exported) -> None:
    text = "the catsing cats sat on a mat . goods filming dog é bad movie"
    counts = [len(tagger[0](text, aggregation_strategy=aggregation)) for aggregation in ("none", "simple")]
    assert counts[0] > counts[1] > 0
    assert tagger[0]("") == []


@pytest.fixture(scope="module")
def filler(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported(AutoModelForMaskedLM, BertConfig(**BERT_SIZES), tmp_path_factory.mktemp("filler"))


@pytest.mark.parametrize(
    "inputs",
    ["the [MASK] sat", ["a [MASK] film", "[MASK] mat ."], ["[MASK]"], "the [MASK] sat on [MASK] [MASK]"],
    ids=str,
)
@pytest.mark.parametrize("options", [{}, {"top_k": 2}], ids=str)
def test_masks_get_the_words_of_transformers(filler: Exported, inputs: Any, options: dict[str, Any]) -> None:
    served, model, tokenizer = filler
    reference = pipeline("fill-mask", model=model, tokenizer=tokenizer, device="cpu")
    assert_same(served(inputs, **options), reference(inputs, **options))


def test_a_text_without_a_mask_is_refused(filler: Exported) -> None:
    with pytest.raises(InvalidDataError, match=r"must hold the mask \[MASK\] .*; one holds 0\. Send a text such as"):
        filler[0](["the [MASK]", "the cat"])
    with pytest.raises(InvalidDataError, match=r"at most 32 times; one holds 40\. Send"):
        filler[0]("[MASK] " * 40)


def test_a_masked_language_model_whose_tokenizer_has_no_mask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match=r"must have a mask; it names none\. Export the model again"):
        exported(AutoModelForMaskedLM, BertConfig(**BERT_SIZES), tmp_path, whole_words)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    config = BertConfig(**{**BERT_SIZES, "initializer_range": 0.6})
    return exported(AutoModelForQuestionAnswering, config, tmp_path_factory.mktemp("reader"))


QUESTIONS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map(" ".join)
CONTEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=150).map(" ".join)


def spans_by_hand(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, question: str, context: str) -> Any:
    """Every span of every window, scored one by one; the sums of those with the same words, the best of each window
    only, as transformers 4 counts them.
    """
    windows = tokenizer(
        question, context, truncation="only_second", max_length=64, stride=32, return_overflowing_tokens=True
    )
    sums: dict[str, float] = {}
    for number, ids in enumerate(windows["input_ids"]):
        kept = [place == 1 for place in windows.sequence_ids(number)]
        names = {name: torch.tensor([windows[name][number]]) for name in ("token_type_ids", "attention_mask")}
        with torch.inference_mode():
            output = model(input_ids=torch.tensor([ids]), **names)
        allowed = torch.tensor([True, *kept[1:]])
        start, end = (
            logits[0].masked_fill(~allowed, -1e4).softmax(-1) for logits in (output.start_logits, output.end_logits)
        )
        encoding = windows.encodings[number]
        spans = [
            (float(start[first] * end[last]), encoding.word_to_chars(encoding.token_to_word(first), 1)[0],
             encoding.word_to_chars(encoding.token_to_word(last), 1)[1])
            for first, last in itertools.combinations_with_replacement(range(len(ids)), 2)
            if kept[first] and kept[last] and last - first < 15
        ]  # fmt: skip
        for score, first, last in sorted(spans, reverse=True)[:12]:
            sums[context[first:last]] = sums.get(context[first:last], 0.0) + score
    return max(sums.values()), sums


@settings(max_examples=25, deadline=None)
@given(question=QUESTIONS, context=CONTEXTS)
def test_the_answer_is_the_best_of_all_spans_of_a_context_of_any_length(
    reader: Exported, question: str, context: str
) -> None:
    served, model, tokenizer = reader
    found = served({"question": question, "context": context})
    best, sums = spans_by_hand(model, tokenizer, question, context)
    assert found["answer"] == context[found["start"] : found["end"]]
    assert found["score"] == pytest.approx(best, abs=1e-5)
    assert sums[found["answer"]] == pytest.approx(best, abs=1e-5)


@pytest.mark.skipif(transformers.__version__ >= "5", reason="transformers 5 has no such pipeline any more")
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:__array__ implementation:DeprecationWarning")
@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.fixed_dictionaries({"question": QUESTIONS, "context": CONTEXTS}), min_size=1, max_size=3))
@pytest.mark.parametrize("top_k", [1, 3])
def test_answers_are_those_of_transformers(reader: Exported, rows: list[dict[str, str]], top_k: int) -> None:
    served, model, tokenizer = reader
    reference = pipeline("question-answering", model=model, tokenizer=tokenizer, device="cpu")
    assert_same(served(rows, top_k=top_k), reference(rows, top_k=top_k))


@pytest.mark.parametrize("inputs", ["text", {"question": "a"}, {"question": "", "context": "a"}, [["a", "b"]], None])
def test_a_question_needs_a_context(reader: Exported, inputs: Any) -> None:
    with pytest.raises(InvalidDataError, match=r"must be an object with a question and a context, .*; got .*\. Send"):
        reader[0](inputs)


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_a_text_gets_one_vector_made_of_its_token_vectors(pooling: Any, tmp_path: Path) -> None:
    served, model, tokenizer = exported(AutoModel, BertConfig(**BERT_SIZES), tmp_path, pooling=pooling)
    reference = pipeline("feature-extraction", model=model, tokenizer=tokenizer, device="cpu")
    texts = ["the cat", "a", "a good film on the mat ."]
    expected = [np.array(reference(text)[0]) for text in texts]
    expected = [(rows.mean(0) if pooling == "mean" else rows[0]).tolist() for rows in expected]
    assert served.task == "sentence-embedding"
    assert_same(served(texts), expected)
    assert_same(served(texts[0]), expected[0])


GPT2 = GPT2Config(
    vocab_size=len(WORDS), n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.6,
    bos_token_id=2, eos_token_id=3, pad_token_id=0,
)  # fmt: skip
LLAMA = LlamaConfig(
    **{**BERT_SIZES, "initializer_range": 0.6, "num_key_value_heads": 2}, bos_token_id=2, eos_token_id=3
)


@pytest.mark.skipif(transformers.__version__ < "5", reason="transformers 4 makes causal masks that cannot be traced")
@pytest.mark.parametrize("config", [GPT2, LLAMA], ids=lambda config: config.model_type)
def test_texts_go_on_as_with_greedy_generation_of_transformers(config: Any, tmp_path: Path) -> None:
    served, model, tokenizer = exported(AutoModelForCausalLM, config, tmp_path, whole_words)
    reference = pipeline("text-generation", model=model, tokenizer=tokenizer, device="cpu")
    prompts = [" ".join(words) for words in itertools.permutations(["the", "cat", "sat", "good", "movie"], 3)][:12]
    prompts += ["a", "the cat sat on a mat . good film"]
    expected = [reference(prompt, do_sample=False, max_new_tokens=12) for prompt in prompts]
    assert served.task == "text-generation"
    assert served(prompts, max_new_tokens=12, batch_size=5) == expected
    assert served(prompts[0], max_new_tokens=12) == expected[0]
    counts = [len(row[0]["generated_text"].split()) for row in expected]
    assert len({count - len(prompt.split()) for count, prompt in zip(counts, prompts, strict=True)}) > 1, (
        "some texts must end early for this test to say anything"
    )
    with pytest.raises(InvalidDataError, match=r"at least one token, and fewer than 64 tokens; one has 70"):
        served("cat " * 70)
    whole = served("cat " * 60, max_new_tokens=50)[0]["generated_text"].split()
    assert 60 < len(whole) <= 64


@pytest.mark.parametrize("options", [{"aggregation_strategy": "best"}, {"max_new_tokens": 0}], ids=str)
def test_options_outside_their_range_are_refused(filler: Exported, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidDataError, match=rf"{next(iter(options))} must be .*; got"):
        filler[0]("the [MASK]", **options)
