"""`ose trim`: an ordinary model folder with the tokens of a corpus, and one message for each thing that cannot be."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    RobertaConfig,
    RobertaForMaskedLM,
)

from optimum_ose import trim_vocabulary
from optimum_ose.exceptions import InvalidConfigError, OutputFolderError, UnsupportedModelError
from optimum_ose.modeling.sentence_folder import read_pooling, write_sentence_files
from optimum_ose.tasks.parts.pooling import SentencePooling
from runs import refused, run
from vocabulary.made_tokenizers import made_tokenizer, texts

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a folder with a tiny encoder whose table has some rows more than its tokenizer has tokens."""

    def build(kind: str = "WordPiece", *, more: int = 0) -> Path:
        tokenizer = made_tokenizer(kind)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = BertModel(
                BertConfig(**SIZES, vocab_size=len(tokenizer) + more, pad_token_id=1), add_pooling_layer=False
            )
        folder = tmp_path / "model"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return build


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(texts()[:80]) + "\n", encoding="utf-8")
    return path


def vector(folder: Path, text: str) -> torch.Tensor:
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        return model(**tokenizer(text, return_tensors="pt", return_token_type_ids=False)).last_hidden_state


def test_the_verb_writes_an_ordinary_folder_and_reports_what_it_did(
    make: Make, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, output = make(), tmp_path / "out"
    words = ["trim", "--model", str(model), "--corpus", str(corpus), "--output", str(output)]
    run(monkeypatch, [*words, "--keep-coverage", "1", "--sample-size", "80"])
    printed = capsys.readouterr().out
    assert "coverage: 100.0000%" in printed
    assert "the same outputs, bit for bit, on 80 texts whose tokens all stayed (of 80 sampled)" in printed
    report = json.loads((output / "ose" / "trim.json").read_text())
    assert (report["num_texts"], report["num_texts_changed"], report["dropped"]) == (80, 0, [])
    assert report["num_corpus_tokens_after"] == report["num_corpus_tokens"]
    assert report["verification"] == {"identical": True, "largest_difference": 0.0, "num_sampled": 80, "num_texts": 80}
    assert report["num_tokens_after"] < report["num_tokens"] == len(AutoTokenizer.from_pretrained(model))
    for text in texts()[:5]:
        assert torch.equal(vector(output, text), vector(model, text))
    fewer = (report["num_tokens"] - report["num_tokens_after"]) * SIZES["hidden_size"]
    assert report["num_parameters"] - report["num_parameters_after"] == fewer
    assert {item.name for item in output.iterdir()} == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "ose")
    }
    assert "pooler.dense.weight" not in load_file(output / "model.safetensors")


def test_the_report_counts_what_changed(make: Make, corpus: Path, tmp_path: Path) -> None:
    model = make("Unigram")
    report = trim_vocabulary(model, corpus, tmp_path / "out", keep_coverage=0.8)
    again = trim_vocabulary(model, [corpus], tmp_path / "same", vocabulary_size=report.num_tokens_after)
    assert 0.8 <= report.coverage == again.coverage < 1
    whole, smaller = AutoTokenizer.from_pretrained(model), AutoTokenizer.from_pretrained(tmp_path / "out")
    assert len(smaller) == report.num_tokens_after
    changed = [text for text in texts()[:80] if whole.tokenize(text) != smaller.tokenize(text)]
    assert report.num_texts_changed == len(changed) > 0
    assert report.num_corpus_tokens_after == sum(len(smaller.tokenize(text)) for text in texts()[:80])
    token, count = report.dropped[0]
    assert count == sum(whole.tokenize(text).count(token) for text in texts()[:80])
    assert token not in smaller.get_vocab()
    assert report.num_tokens_dropped_seen == len(report.dropped)


def test_files_of_a_sentence_encoder_come_along(make: Make, corpus: Path, tmp_path: Path) -> None:
    model = make()
    pooling = SentencePooling(mode="first", normalizes=True)
    write_sentence_files(model, pooling, width=SIZES["hidden_size"], max_length=24)
    (model / "pytorch_model.bin").write_bytes(b"of another form")
    settings = json.loads((model / "tokenizer.json").read_text())
    settings["truncation"] = {"direction": "Right", "max_length": 24, "strategy": "LongestFirst", "stride": 0}
    (model / "tokenizer.json").write_text(json.dumps(settings))
    trim_vocabulary(model, corpus, tmp_path / "out", keep_coverage=0.9)
    assert read_pooling(str(tmp_path / "out")) == pooling
    assert json.loads((tmp_path / "out" / "tokenizer.json").read_text())["truncation"] == settings["truncation"]
    assert not (tmp_path / "out" / "pytorch_model.bin").exists()


def test_positions_that_are_numbered_from_the_padding_token_stay(corpus: Path, tmp_path: Path) -> None:
    tokenizer = made_tokenizer("WordLevel")
    config = RobertaConfig(**SIZES, vocab_size=len(tokenizer), pad_token_id=1, max_position_embeddings=40)
    RobertaForMaskedLM(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    report = trim_vocabulary(tmp_path / "model", corpus, tmp_path / "out", keep_coverage=0.9)
    assert {"lm_head.bias", "roberta.embeddings.word_embeddings.weight"} <= set(report.tensors)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["pad_token_id"] == 1
    assert report.verification.largest_difference < 1e-5


def test_heads_of_classes_stay(corpus: Path, tmp_path: Path) -> None:
    tokenizer = made_tokenizer("byte-level BPE")
    labels = {0: "no", 1: "maybe", 2: "yes"}
    config = BertConfig(**SIZES, vocab_size=len(tokenizer), id2label=labels)
    BertForSequenceClassification(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    report = trim_vocabulary(tmp_path / "model", corpus, tmp_path / "out", keep_coverage=1)
    assert report.verification.identical
    content = json.loads((tmp_path / "out" / "config.json").read_text())
    assert content["architectures"] == ["BertForSequenceClassification"]
    assert content["id2label"]["2"] == "yes"


def test_rows_without_a_token_are_left_out_with_a_warning(
    make: Make, corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = trim_vocabulary(make(more=24), corpus, tmp_path / "out", keep_coverage=1)
    assert report.num_rows_without_token == 24
    assert "rows without a token are left out" in caplog.text
    assert AutoModel.from_pretrained(tmp_path / "out").config.vocab_size == report.num_tokens_after


def test_holes_in_a_vocabulary_are_left_out_with_a_warning(
    make: Make, corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = make("WordLevel")
    content = json.loads((model / "tokenizer.json").read_text())
    lost = [token for token, index in content["model"]["vocab"].items() if index in (50, 60, 61)]
    for token in lost:
        del content["model"]["vocab"][token]
    content["added_tokens"] = [
        item for item in content["added_tokens"] if item["content"] not in ("<user>", "kalominu")
    ]
    (model / "tokenizer.json").write_text(json.dumps(content))
    report = trim_vocabulary(model, corpus, tmp_path / "out", keep_coverage=1)
    assert "3 ids below" in caplog.text
    assert report.num_rows_without_token >= 3
    assert report.verification.identical


def test_two_tokens_of_one_id_are_refused(make: Make, corpus: Path, tmp_path: Path) -> None:
    model = make("WordLevel")
    content = json.loads((model / "tokenizer.json").read_text())
    first, second = list(content["model"]["vocab"])[40:42]
    content["model"]["vocab"][second] = content["model"]["vocab"][first]
    (model / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(InvalidConfigError, match="Each id of a vocabulary must belong to one token"):
        trim_vocabulary(model, corpus, tmp_path / "out", keep_coverage=1)


def test_a_piece_that_stands_twice_is_refused(make: Make, corpus: Path, tmp_path: Path) -> None:
    model = make("Unigram")
    content = json.loads((model / "tokenizer.json").read_text())
    content["model"]["vocab"][50] = content["model"]["vocab"][51]
    (model / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(InvalidConfigError, match="must stand in it once; there are more of"):
        trim_vocabulary(model, corpus, tmp_path / "out", keep_coverage=1)


def test_added_tokens_beyond_the_table_are_refused(make: Make, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="2 tokens such as .* have none"):
        trim_vocabulary(make(more=-2), corpus, tmp_path / "out", keep_coverage=1)


def test_a_tokenizer_without_a_fast_form_is_refused(make: Make, corpus: Path, tmp_path: Path) -> None:
    model = make()
    (model / "tokenizer.json").unlink()
    (model / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "ByT5Tokenizer"}))
    with pytest.raises(UnsupportedModelError, match="must have a fast form"):
        trim_vocabulary(model, corpus, tmp_path / "out", keep_coverage=1)


def test_words_that_cannot_become_unknown_are_refused(make: Make, corpus: Path, tmp_path: Path) -> None:
    model = make("WordLevel")
    content = json.loads((model / "tokenizer.json").read_text())
    content["model"]["unk_token"] = "nowhere"
    (model / "tokenizer.json").write_text(json.dumps(content))
    settings = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps({**settings, "unk_token": None}))
    with pytest.raises((UnsupportedModelError, InvalidConfigError)):
        trim_vocabulary(model, corpus, tmp_path / "out", keep_coverage=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either the coverage to keep or the size of the vocabulary; got neither"),
        ({"keep_coverage": 0.9, "vocabulary_size": 90}, "got both"),
        ({"keep_coverage": 0.0}, "must be a number above 0 and at most 1; got 0.0"),
        ({"keep_coverage": 1.5}, "must be a number above 0 and at most 1; got 1.5"),
        ({"keep_coverage": float("nan")}, "must be a number above 0 and at most 1; got nan"),
        ({"vocabulary_size": 6}, r"must keep at least \d+ tokens: added and special tokens, single characters"),
        ({"vocabulary_size": 100_000}, "at most as many tokens as the whole; got 100,000"),
        ({"vocabulary_size": 2.5}, "vocabulary_size must be a whole number"),
        ({"keep_coverage": 1, "sample_size": 0}, "sample_size must be a whole number of at least 1"),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_is_written(
    options: dict[str, object], message: str, make: Make, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        trim_vocabulary(make(), corpus, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_mistake_ends_with_one_message(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    words = ["trim", "--model", str(make()), "--output", str(tmp_path / "out"), "--keep-coverage", "0.9", "--corpus"]
    printed = refused(monkeypatch, capsys, [*words, str(tmp_path / "empty.txt")])
    assert "A corpus must hold text with tokens" in printed
    printed = refused(monkeypatch, capsys, [*words, str(tmp_path / "none.txt")])
    assert "there is no such file or folder" in printed


def test_folders_of_others_are_not_written_into(make: Make, corpus: Path, tmp_path: Path) -> None:
    model = make()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").write_text("mine")
    (tmp_path / "run" / "ose").mkdir(parents=True)
    (tmp_path / "run" / "ose" / "run.json").write_text("{}")
    for folder, message in (
        ("foreign", "it holds thesis.tex"),
        ("run", "it holds a run"),
        ("model", "the teacher's own"),
    ):
        with pytest.raises(OutputFolderError, match=message):
            trim_vocabulary(model, corpus, tmp_path / folder, keep_coverage=1)


def test_a_folder_of_ours_is_written_again(make: Make, corpus: Path, tmp_path: Path) -> None:
    model, output = make(), tmp_path / "out"
    first = trim_vocabulary(model, corpus, output, keep_coverage=1)
    (output / "model-00002-of-00002.safetensors").write_bytes(b"a shard of an earlier trimming")
    second = trim_vocabulary(model, corpus, output, vocabulary_size=first.num_tokens_after - 5)
    assert len(AutoTokenizer.from_pretrained(output)) == second.num_tokens_after == first.num_tokens_after - 5
    assert not list(output.glob("model-*"))
    assert not list(output.glob(".*"))


def test_the_same_call_gives_the_same_bytes(make: Make, corpus: Path, tmp_path: Path) -> None:
    model = make("BPE with bytes")
    for name in ("a", "b"):
        trim_vocabulary(model, corpus, tmp_path / name, keep_coverage=0.95, sample_size=10)
    for name in ("model.safetensors", "tokenizer.json", "config.json", "ose/trim.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_text_in_no_kept_token_leaves_drawn_tokens_to_compare(make: Make, tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(" ".join(texts()) + "\n", encoding="utf-8")
    report = trim_vocabulary(make(), tmp_path / "corpus.txt", tmp_path / "out", keep_coverage=0.5)
    assert (report.verification.num_texts, report.verification.num_sampled) == (0, 1)
    assert report.verification.identical
