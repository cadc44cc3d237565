"""A model with fewer tokens computes what the whole one computes, whatever its type and its heads are."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import GenerationConfig, PreTrainedModel

from optimum_ose.exceptions import TrimmingError, UnsupportedModelError
from optimum_ose.vocabulary.tensors import smaller_model, token_dimensions
from optimum_ose.vocabulary.token_ids import named_ids, renumbered
from optimum_ose.vocabulary.verification import output_differences

SIZE = 96
KEPT = (0, 1, 2, 3, *range(9, SIZE, 3))
ENCODER = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "vocab_size": SIZE,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
BART = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 40,
    "vocab_size": SIZE,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": 2,
}
T5 = {
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 24,
    "num_layers": 2,
    "num_heads": 2,
    "vocab_size": SIZE,
    "decoder_start_token_id": 0,
}
GPT2 = {
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 40,
    "vocab_size": SIZE,
    "bos_token_id": 2,
    "eos_token_id": 2,
}
LLAMA = {**ENCODER, "num_key_value_heads": 1, "head_dim": 8}
DISTILBERT = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "vocab_size": SIZE}
XLNET = {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 24, "vocab_size": SIZE}
MOBILEBERT = {**ENCODER, "embedding_size": 8, "intra_bottleneck_size": 8}
CASES: list[tuple[str, str, dict[str, Any], set[str]]] = [
    ("BertModel", "BertConfig", ENCODER, {"embeddings.word_embeddings.weight"}),
    ("BertForMaskedLM", "BertConfig", ENCODER, {"cls.predictions.bias", "cls.predictions.decoder.weight"}),
    ("BertForPreTraining", "BertConfig", {**ENCODER, "tie_word_embeddings": False}, {"cls.predictions.decoder.bias"}),
    ("BertForSequenceClassification", "BertConfig", ENCODER, {"bert.embeddings.word_embeddings.weight"}),
    ("RobertaForMaskedLM", "RobertaConfig", ENCODER, {"lm_head.bias", "lm_head.decoder.weight"}),
    ("XLMRobertaModel", "XLMRobertaConfig", ENCODER, set()),
    ("MPNetForMaskedLM", "MPNetConfig", ENCODER, {"lm_head.bias"}),
    ("DistilBertForMaskedLM", "DistilBertConfig", DISTILBERT, {"vocab_projector.bias"}),
    ("AlbertForMaskedLM", "AlbertConfig", {**ENCODER, "embedding_size": 8}, {"predictions.bias"}),
    ("ElectraForMaskedLM", "ElectraConfig", {**ENCODER, "embedding_size": 8}, {"generator_lm_head.weight"}),
    ("ElectraForPreTraining", "ElectraConfig", ENCODER, set()),
    ("DebertaV2ForMaskedLM", "DebertaV2Config", ENCODER, set()),
    ("ModernBertForMaskedLM", "ModernBertConfig", {**ENCODER, "cls_token_id": 0, "sep_token_id": 2}, {"decoder.bias"}),
    ("MobileBertForMaskedLM", "MobileBertConfig", MOBILEBERT, {"cls.predictions.bias"}),
    ("XLNetLMHeadModel", "XLNetConfig", XLNET, {"lm_loss.bias"}),
    ("GPT2LMHeadModel", "GPT2Config", GPT2, {"transformer.wte.weight"}),
    ("GPT2ForSequenceClassification", "GPT2Config", {**GPT2, "pad_token_id": 1}, set()),
    ("LlamaForCausalLM", "LlamaConfig", {**LLAMA, "tie_word_embeddings": False}, {"lm_head.weight"}),
    ("Qwen2ForCausalLM", "Qwen2Config", {**LLAMA, "tie_word_embeddings": True}, {"model.embed_tokens.weight"}),
    ("OPTForCausalLM", "OPTConfig", {**ENCODER, "word_embed_proj_dim": 8, "ffn_dim": 24}, set()),
    ("GPTNeoXForCausalLM", "GPTNeoXConfig", ENCODER, set()),
    ("T5ForConditionalGeneration", "T5Config", T5, {"shared.weight"}),
    ("T5EncoderModel", "T5Config", T5, set()),
    ("MT5ForConditionalGeneration", "MT5Config", {**T5, "tie_word_embeddings": False}, {"lm_head.weight"}),
    ("BartForConditionalGeneration", "BartConfig", BART, {"final_logits_bias", "model.shared.weight"}),
    ("BartForSequenceClassification", "BartConfig", BART, set()),
    ("MarianMTModel", "MarianConfig", {**BART, "decoder_vocab_size": SIZE}, {"final_logits_bias"}),
    ("PegasusForConditionalGeneration", "PegasusConfig", BART, {"final_logits_bias"}),
]  # fmt: skip


def build(model: str, config: str, settings: dict[str, Any]) -> PreTrainedModel:
    made = getattr(transformers, config)(**settings)
    made.architectures = [model]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built: PreTrainedModel = getattr(transformers, model)(made).eval()
        with torch.no_grad():
            for tensor in filter(lambda item: item.requires_grad, built.parameters()):  # not tables of sines
                tensor.add_(0.1 * torch.randn_like(tensor))
            if hasattr(built, "final_logits_bias"):
                built.final_logits_bias.normal_()
    return built


def rows(*, ending: int) -> list[list[int]]:
    """Texts of three lengths; classifiers of BART read the state of the end of a text, which each has once."""
    ids = [index for index in KEPT if index not in (1, ending)]
    generator = torch.Generator().manual_seed(0)
    return [
        [*(ids[place] for place in torch.randint(len(ids), (length,), generator=generator)), ending]
        for length in (5, 5, 9, 14)
    ]


@pytest.mark.parametrize(("model", "config", "settings", "tensors"), CASES, ids=[case[0] for case in CASES])
def test_fewer_tokens_leave_the_same_outputs(
    model: str, config: str, settings: dict[str, Any], tensors: set[str], tmp_path: Path
) -> None:
    whole = build(model, config, settings)
    dimensions = token_dimensions(whole)
    assert tensors <= dimensions.keys()
    assert not any("position" in name or "token_type" in name for name in dimensions)
    smaller = smaller_model(whole, KEPT, dimensions=dimensions)
    texts = rows(ending=2)
    assert max(output_differences(whole, smaller, texts, KEPT)) < 1e-4
    assert smaller.config.vocab_size == len(KEPT)
    lost = {tensor.data_ptr(): tensor for name, tensor in whole.named_parameters() if name in dimensions}
    fewer = sum(tensor.numel() // SIZE * (SIZE - len(KEPT)) for tensor in lost.values())
    assert whole.num_parameters() - smaller.num_parameters() == fewer
    smaller.save_pretrained(tmp_path)
    again = type(whole).from_pretrained(tmp_path)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in smaller.state_dict().items())


def test_states_and_classes_are_the_same_bit_for_bit() -> None:
    for case in CASES:
        if case[0] in (
            "BertModel",
            "XLMRobertaModel",
            "BartForSequenceClassification",
            "GPT2ForSequenceClassification",
        ):
            whole = build(*case[:3])
            assert set(output_differences(whole, smaller_model(whole, KEPT), rows(ending=2), KEPT)) == {0.0}


def test_a_model_with_another_row_is_found_out() -> None:
    whole = build("BertModel", "BertConfig", ENCODER)
    smaller = smaller_model(whole, KEPT)
    with torch.no_grad():
        smaller.get_input_embeddings().weight[4, 0] += 1e-3
    with pytest.raises(TrimmingError, match="must have the same output"):
        output_differences(whole, smaller, [[KEPT[4], 2]], KEPT)
    assert set(output_differences(whole, smaller, [[KEPT[5], 2]], KEPT)) == {0.0}


def test_half_precision_stays() -> None:
    whole = build("BertModel", "BertConfig", ENCODER).bfloat16()
    smaller = smaller_model(whole, KEPT)
    assert smaller.dtype is torch.bfloat16
    assert set(output_differences(whole, smaller, rows(ending=2), KEPT)) == {0.0}


def test_special_ids_of_config_and_generation_config_are_renumbered() -> None:
    settings = {**BART, "eos_token_id": 90, "decoder_start_token_id": 90, "forced_eos_token_id": 90, "bos_token_id": 0}
    whole = build("BartForConditionalGeneration", "BartConfig", settings)
    whole.generation_config = GenerationConfig(
        eos_token_id=[90, 2],
        pad_token_id=1,
        decoder_start_token_id=90,
        suppress_tokens=[9, 10, 12],
        begin_suppress_tokens=[11],
        bad_words_ids=[[9, 12], [10]],
    )
    smaller = smaller_model(whole, KEPT)
    at = KEPT.index
    assert smaller.config.eos_token_id == smaller.config.decoder_start_token_id == at(90)
    found = smaller.generation_config
    assert (found.eos_token_id, found.pad_token_id, found.decoder_start_token_id) == ([at(90), 2], 1, at(90))
    assert (found.suppress_tokens, found.begin_suppress_tokens) == ([at(9), at(12)], [])
    assert found.bad_words_ids == [[at(9), at(12)]]
    text = torch.tensor([[0, 9, 12, 90]])
    new = torch.tensor([[at(index) for index in text[0].tolist()]])
    assert smaller.generate(new, max_new_tokens=4).shape[0] == 1


def test_ids_that_a_config_needs_are_named_nested_ones_too() -> None:
    content = {
        "eos_token_id": [5, 6],
        "pad_token_id": None,
        "image_token_index": 9,
        "suppress_tokens": [77],
        "forced_decoder_ids": [[1, 8]],
        "text_config": {"model_type": "x", "bos_token_id": 7},
        "vocab_size": 50,
        "sep_token_id": -1,
    }
    assert named_ids(content) == {5, 6, 7, 8, 9}
    found = renumbered(content, {5: 0, 6: 1, 7: 2, 8: 3, 9: 4})
    assert found["text_config"]["bos_token_id"] == 2
    assert (found["eos_token_id"], found["image_token_index"], found["suppress_tokens"]) == ([0, 1], 4, [])
    assert (found["forced_decoder_ids"], found["sep_token_id"], found["vocab_size"]) == ([[1, 3]], -1, 50)


def test_a_model_without_a_table_is_refused() -> None:
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, image_size=32, patch_size=16
    )
    with pytest.raises(UnsupportedModelError, match="vocab_size|table of token embeddings"):
        token_dimensions(transformers.ViTModel(config))
