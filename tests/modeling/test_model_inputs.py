"""A model of any modality is given inputs that it answers, whatever its forward pass calls them."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, BertConfig, BertModel, PreTrainedModel

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.model_inputs import run_example

WIDTHS: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32
}  # fmt: skip
PICTURE = WIDTHS | {"patch_size": 4}
KINDS: dict[str, tuple[dict[str, Any], dict[str, tuple[int, ...]]]] = {
    "siglip2_vision_model": (
        PICTURE | {"num_patches": 16},
        {"pixel_values": (2, 144, 48), "pixel_attention_mask": (2, 144), "spatial_shapes": (2, 2)},
    ),
    "video_llama_3_vision": (PICTURE, {"pixel_values": (288, 48), "grid_thw": (2, 3), "merge_sizes": (2,)}),
    "wav2vec2-bert": (
        WIDTHS | {"feature_projection_input_dim": 24},
        {"input_features": (2, 100, 24), "attention_mask": (2, 100)},
    ),
    "lxmert": (
        {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50, "visual_feat_dim": 8}
        | {"l_layers": 1, "r_layers": 1, "x_layers": 1},
        {"input_ids": (2, 16), "visual_feats": (2, 16, 8), "visual_pos": (2, 16, 4)},
    ),
    "decision_transformer": (
        {"hidden_size": 16, "n_layer": 1, "n_head": 1, "state_dim": 5, "act_dim": 3, "max_ep_len": 20},
        {"states": (2, 16, 5), "actions": (2, 16, 3), "rewards": (2, 16, 1), "returns_to_go": (2, 16, 1)}
        | {"timesteps": (2, 16)},
    ),
}


def model_of(model_type: str) -> PreTrainedModel:
    config = AutoConfig.for_model(model_type, **KINDS[model_type][0])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return AutoModel.from_config(config).eval()


@pytest.mark.parametrize("model_type", KINDS)
def test_a_model_is_given_the_inputs_that_its_forward_pass_names(model_type: str) -> None:
    example = run_example(model_of(model_type), batch_size=2)
    assert {name: tuple(item.shape) for name, item in example.inputs.items()} == KINDS[model_type][1]
    assert torch.isfinite(example.output[0]).all()


@pytest.mark.parametrize("model_type", KINDS)
def test_the_number_of_the_inputs_leads_back_to_them(model_type: str) -> None:
    model = model_of(model_type)
    first = run_example(model, batch_size=2)
    again = run_example(model, batch_size=2, choice=first.choice)
    assert all(torch.equal(item, again.inputs[name]) for name, item in first.inputs.items())


def test_a_model_of_text_makes_none_of_the_further_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimum_ose.modeling.model_inputs.further_inputs", None)
    model = BertModel(BertConfig(**WIDTHS, vocab_size=50)).eval()
    assert run_example(model, batch_size=2).choice == 0


class Recorder(BertModel):
    """A model whose input no tensor can be."""

    def forward(self, inference_session: object) -> None:  # type: ignore[override]
        raise AssertionError("nothing to be tried")


def test_a_model_that_requires_an_input_of_no_known_kind_is_refused() -> None:
    model = Recorder(BertConfig(**WIDTHS, vocab_size=50))
    with pytest.raises(UnsupportedModelError, match="failed to name such an input"):
        run_example(model)
