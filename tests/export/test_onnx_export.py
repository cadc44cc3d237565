"""An exported file computes what the model computes."""

from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
import transformers
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    GPT2Config,
    LlamaConfig,
    ModernBertConfig,
    RobertaConfig,
)
from transformers.models.bert.modeling_bert import BertPooler

from export.tiny_text import BERT_SIZES, WORDS, tiny_classifier, tiny_tokenizer
from optimum_ose.configuration import ExportConfig
from optimum_ose.exceptions import ExportError, InvalidConfigError, UnsupportedModelError
from optimum_ose.export import onnx_export
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.parity import check_parity

TOKENIZER = tiny_tokenizer()
DISTILBERT_SIZES = {"vocab_size": len(WORDS), "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
RANDOMNESS = {"initializer_range": 0.15}
CONFIGS = {
    "bert": BertConfig(**BERT_SIZES),
    "roberta": RobertaConfig(**BERT_SIZES),
    "distilbert": DistilBertConfig(**DISTILBERT_SIZES, **RANDOMNESS),
    "modernbert": ModernBertConfig(**BERT_SIZES, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3),
    "deberta-v2 without segments": DebertaV2Config(**{**BERT_SIZES, "type_vocab_size": 0}),
}


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # transformers 4 imports two models with it
@pytest.mark.parametrize("name", CONFIGS)
def test_onnx_and_pytorch_agree_on_several_shapes_with_padding(name: str, tmp_path: Path) -> None:
    model = tiny_classifier(CONFIGS[name])
    path = export_onnx(model, TOKENIZER, tmp_path)
    parity = check_parity(model, path, TOKENIZER, shapes=((1, 3), (4, 17), (2, 62)), seed=1)
    assert path == tmp_path / "onnx" / "model.onnx"
    assert parity.worst_difference < 1e-5
    assert parity.largest_output > 0.05


def test_the_graph_has_the_names_and_free_axes_that_other_runtimes_look_for(tmp_path: Path) -> None:
    session = onnxruntime.InferenceSession(export_onnx(tiny_classifier(), TOKENIZER, tmp_path))
    assert [item.name for item in session.get_inputs()] == ["input_ids", "attention_mask", "token_type_ids"]
    assert {tuple(item.shape) for item in session.get_inputs()} == {("batch", "sequence")}
    assert [(item.name, item.shape) for item in session.get_outputs()] == [("logits", ["batch", 3])]


@pytest.mark.parametrize(("family", "output"), [(AutoModelForMaskedLM, "logits"), (AutoModel, "last_hidden_state")])
def test_a_token_level_output_keeps_its_sequence_axis(family: type, output: str, tmp_path: Path) -> None:
    model = family.from_config(BertConfig(**BERT_SIZES))
    session = onnxruntime.InferenceSession(export_onnx(model, TOKENIZER, tmp_path))
    assert [item.name for item in session.get_outputs()] == [output]
    assert session.get_outputs()[0].shape[:2] == ["batch", "sequence"]


def test_the_model_that_is_exported_stays_as_it_was(tmp_path: Path) -> None:
    model = tiny_classifier().train()
    model.bert.encoder.eval()
    flags = [module.training for module in model.modules()]
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    configuration, randomness = model.config.to_dict(), torch.get_rng_state()
    attention = model.config._attn_implementation
    export_onnx(model, TOKENIZER, tmp_path)
    assert [module.training for module in model.modules()] == flags
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    assert model.config.to_dict() == configuration
    assert model.config._attn_implementation == attention == "sdpa"
    assert torch.equal(torch.get_rng_state(), randomness)


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    model = tiny_classifier()
    first, second = (export_onnx(model, TOKENIZER, tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_the_file_holds_the_operator_set_asked_for_and_no_path_of_this_machine(tmp_path: Path) -> None:
    path = export_onnx(tiny_classifier(), TOKENIZER, tmp_path, opset=18)
    assert onnx.load(path).opset_import[0].version == 18
    assert b"site-packages" not in path.read_bytes()


def test_an_export_that_differs_from_its_model_never_takes_the_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export_onnx(tiny_classifier(), TOKENIZER, tmp_path)
    good = path.read_bytes()
    monkeypatch.setattr(onnx_export, "_eager_twin", lambda _: tiny_classifier(seed=9))
    with pytest.raises(ExportError, match=r"must compute what the model computes, within .*; the largest difference"):
        export_onnx(tiny_classifier(), TOKENIZER, tmp_path)
    assert path.read_bytes() == good
    assert list(path.parent.iterdir()) == [path]


def test_half_precision_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UnsupportedModelError, match=r"float32 weights; the model has torch.bfloat16\. Call model.float"
    ):
        export_onnx(tiny_classifier().bfloat16(), TOKENIZER, tmp_path)


@pytest.mark.parametrize("opset", [13, 21, "17"])
def test_an_operator_set_that_cannot_be_written_is_refused_as_in_a_config(opset: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="export_onnx: opset must") as exported:
        export_onnx(tiny_classifier(), TOKENIZER, tmp_path, opset=opset)
    with pytest.raises(InvalidConfigError) as configured:
        ExportConfig(opset=opset)
    assert str(exported.value).removeprefix("export_onnx") == str(configured.value).removeprefix("ExportConfig")


def test_an_operator_that_onnx_lacks_is_told_in_one_message_without_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(BertPooler, "forward", lambda _self, hidden: torch.special.bessel_j0(hidden[:, 0]))
    capfd.readouterr()
    with pytest.raises(ExportError, match="traceable by torch.onnx; tracing failed: .*bessel_j0"):
        export_onnx(tiny_classifier(), TOKENIZER, tmp_path)
    assert len("".join(capfd.readouterr())) < 500


def test_a_model_without_a_padding_token_says_what_it_lacks(tmp_path: Path) -> None:
    sizes = {"vocab_size": len(WORDS), "n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 64}
    config = GPT2Config(**sizes, bos_token_id=2, eos_token_id=3)
    with pytest.raises(ExportError, match=r"traceable by torch.onnx; tracing failed: .*padding.*\. Set pad_token_id"):
        export_onnx(tiny_classifier(config), TOKENIZER, tmp_path)


def test_a_model_without_logits_or_hidden_states_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_classifier()
    silent = type("Silent", (type(model),), {"forward": lambda self, input_ids, return_dict: {"loss": input_ids}})
    model.__class__ = silent
    with pytest.raises(UnsupportedModelError, match=r"the output logits, .* or last_hidden_state; .* has loss"):
        export_onnx(model, TOKENIZER, tmp_path)


@pytest.mark.skipif(transformers.__version__ < "5", reason="transformers 4 makes causal masks that cannot be traced")
def test_a_decoder_only_classifier_exports(tmp_path: Path) -> None:
    assert export_onnx(tiny_classifier(LlamaConfig(**BERT_SIZES)), TOKENIZER, tmp_path).is_file()
