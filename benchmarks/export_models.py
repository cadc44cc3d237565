"""Owns the model types of the export benchmark: small configs with random weights, and the classes of their tasks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

VOCABULARY_SIZE = 500
NUM_LABELS = 5
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TEXT_SIZES: Mapping[str, Any] = {
    "vocab_size": VOCABULARY_SIZE,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 192,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
DECODER_SIZES = {**TEXT_SIZES, "num_key_value_heads": 2, "head_dim": 16}
IMAGE_SIZES: Mapping[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "image_size": 32,
    "patch_size": 8,
}
CLASSES = {
    "feature-extraction": "AutoModel",
    "sentence-embedding": "AutoModel",
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "fill-mask": "AutoModelForMaskedLM",
    "text-generation": "AutoModelForCausalLM",
    "text2text-generation": "AutoModelForSeq2SeqLM",
    "image-feature-extraction": "AutoModel",
    "image-classification": "AutoModelForImageClassification",
    "audio-feature-extraction": "AutoModel",
    "audio-classification": "AutoModelForAudioClassification",
}
"""The Auto class of each task."""
_HEADS = ("text-classification", "token-classification", "question-answering")
_VECTORS = ("feature-extraction", "sentence-embedding")
ENCODER = (*_VECTORS, *_HEADS, "fill-mask")
DECODER = (*_VECTORS, *_HEADS, "text-generation")
IMAGE = ("image-feature-extraction", "image-classification")
AUDIO = ("audio-feature-extraction", "audio-classification")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelType:
    """A model type as it is exported here."""

    config: str
    """Name of its config class."""
    tasks: tuple[str, ...]
    """What its heads do."""
    sizes: Mapping[str, Any] = field(default_factory=lambda: TEXT_SIZES)
    """Settings of the config."""
    segments: bool = False
    """Whether its tokenizer tells the first text from the second."""
    classes: Mapping[str, str] = field(default_factory=dict)
    """Names of model classes by task, where they are not the Auto classes'."""
    is_refused: bool = False
    """Whether the export is known not to handle it; its row tells the reason and is no failure."""


def _without(tasks: tuple[str, ...], *absent: str) -> tuple[str, ...]:
    return tuple(task for task in tasks if task not in absent)


_DISTILBERT = {"vocab_size": VOCABULARY_SIZE, "dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128}
_GPT2 = {"vocab_size": VOCABULARY_SIZE, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 192}
_T5 = {"vocab_size": VOCABULARY_SIZE, "d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}
_T5 |= {"pad_token_id": 0, "eos_token_id": 3, "decoder_start_token_id": 0}
_SWIN = {"image_size": 32, "patch_size": 4, "embed_dim": 32, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4}
_WAVES: dict[str, Any] = {name: TEXT_SIZES[name] for name in ("hidden_size", "num_hidden_layers", "intermediate_size")}
_WAVES |= {"num_attention_heads": 4, "conv_dim": (32, 32, 32), "conv_stride": (5, 4, 4), "conv_kernel": (10, 4, 4)}
_WAVES |= {"num_feat_extract_layers": 3, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
_WHISPER = {"vocab_size": VOCABULARY_SIZE, "d_model": 64, "encoder_layers": 2, "decoder_layers": 1, "num_mel_bins": 16}
_WHISPER |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128}
_WHISPER |= {"max_source_positions": 50, "classifier_proj_size": 32, "decoder_start_token_id": 0}
_WHISPER |= {
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "suppress_tokens": [],
    "begin_suppress_tokens": [],
}
MODEL_TYPES: Mapping[str, ModelType] = {
    "bert": ModelType(config="BertConfig", tasks=ENCODER, segments=True),
    "roberta": ModelType(config="RobertaConfig", tasks=ENCODER),
    "distilbert": ModelType(
        config="DistilBertConfig", tasks=ENCODER, sizes={**_DISTILBERT, "max_position_embeddings": 192}
    ),
    "electra": ModelType(
        config="ElectraConfig", tasks=ENCODER, sizes={**TEXT_SIZES, "embedding_size": 32}, segments=True
    ),
    "albert": ModelType(
        config="AlbertConfig", tasks=ENCODER, sizes={**TEXT_SIZES, "embedding_size": 32}, segments=True
    ),
    "mobilebert": ModelType(
        config="MobileBertConfig",
        tasks=ENCODER,
        sizes={**TEXT_SIZES, "embedding_size": 32, "intra_bottleneck_size": 32, "true_hidden_size": 32},
        segments=True,
    ),
    "xlm-roberta": ModelType(config="XLMRobertaConfig", tasks=ENCODER),
    "camembert": ModelType(config="CamembertConfig", tasks=ENCODER),
    "mpnet": ModelType(config="MPNetConfig", tasks=ENCODER),
    "deberta-v2": ModelType(
        config="DebertaV2Config",
        tasks=ENCODER,
        sizes={
            **TEXT_SIZES,
            "type_vocab_size": 0,
            "relative_attention": True,
            "position_buckets": 32,
            "pos_att_type": ["p2c", "c2p"],
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
        },
    ),
    "modernbert": ModelType(
        config="ModernBertConfig",
        tasks=ENCODER,
        sizes={**TEXT_SIZES, "cls_token_id": 2, "sep_token_id": 3, "local_attention": 16},
    ),
    "nomic_bert": ModelType(config="NomicBertConfig", tasks=_without(ENCODER, "question-answering"), segments=True),
    "longformer": ModelType(
        config="LongformerConfig",
        tasks=("feature-extraction",),
        sizes={**TEXT_SIZES, "attention_window": 16},
        is_refused=True,
    ),
    "big_bird": ModelType(
        config="BigBirdConfig", tasks=ENCODER, sizes={**TEXT_SIZES, "attention_type": "original_full"}, segments=True
    ),
    "gpt2": ModelType(
        config="GPT2Config",
        tasks=DECODER,
        sizes={**_GPT2, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3},
    ),
    "gpt_neox": ModelType(config="GPTNeoXConfig", tasks=DECODER),
    "opt": ModelType(
        config="OPTConfig",
        tasks=_without(DECODER, "token-classification"),
        sizes={**TEXT_SIZES, "ffn_dim": 128, "word_embed_proj_dim": 64},
    ),
    "llama": ModelType(config="LlamaConfig", tasks=DECODER, sizes=DECODER_SIZES),
    "mistral": ModelType(config="MistralConfig", tasks=DECODER, sizes={**DECODER_SIZES, "sliding_window": 16}),
    "qwen2": ModelType(config="Qwen2Config", tasks=DECODER, sizes=DECODER_SIZES),
    "qwen3": ModelType(config="Qwen3Config", tasks=DECODER, sizes=DECODER_SIZES),
    "gemma": ModelType(config="GemmaConfig", tasks=_without(DECODER, "question-answering"), sizes=DECODER_SIZES),
    "gemma3_text": ModelType(
        config="Gemma3TextConfig",
        tasks=_without(DECODER, "question-answering", "token-classification"),
        sizes={**DECODER_SIZES, "sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    "t5": ModelType(
        config="T5Config",
        tasks=(*_VECTORS, "token-classification"),
        sizes=_T5,
        classes=dict.fromkeys(_VECTORS, "T5EncoderModel"),
    ),
    "vit": ModelType(config="ViTConfig", tasks=IMAGE, sizes=IMAGE_SIZES),
    "deit": ModelType(
        config="DeiTConfig",
        tasks=IMAGE,
        sizes=IMAGE_SIZES,
        classes={"image-classification": "DeiTForImageClassification"},
    ),
    "beit": ModelType(
        config="BeitConfig", tasks=IMAGE, sizes={**IMAGE_SIZES, "use_relative_position_bias": True, "out_indices": [0]}
    ),
    "swin": ModelType(config="SwinConfig", tasks=IMAGE, sizes=_SWIN),
    "dinov2": ModelType(config="Dinov2Config", tasks=IMAGE, sizes={**IMAGE_SIZES, "mlp_ratio": 2}),
    "wav2vec2": ModelType(config="Wav2Vec2Config", tasks=AUDIO, sizes=_WAVES),
    "whisper": ModelType(
        config="WhisperConfig",
        tasks=AUDIO,
        sizes=_WHISPER,
        classes={"audio-feature-extraction": "models.whisper.modeling_whisper.WhisperEncoder"},
    ),
}
"""By the name that Transformers gives them."""


def build_model(
    name: str, task: str, *, seed: int = 0, types: Mapping[str, ModelType] = MODEL_TYPES
) -> PreTrainedModel:
    """A model with random weights, large enough that errors show."""
    found = types[name]
    num_labels = 2 if task == "question-answering" else NUM_LABELS
    config: PretrainedConfig = getattr(transformers, found.config)(**found.sizes, num_labels=num_labels)
    maker: Any = transformers
    for part in found.classes.get(task, CLASSES[task]).split("."):
        maker = getattr(maker, part)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = maker.from_config(config) if hasattr(maker, "from_config") else maker._from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.float()
    built: PreTrainedModel = model.eval()
    return built


def build_tokenizer(name: str, *, types: Mapping[str, ModelType] = MODEL_TYPES) -> PreTrainedTokenizerFast | None:
    """A tokenizer of made-up words; None for images and sound."""
    found = types[name]
    if set(found.tasks) <= {*IMAGE, *AUDIO}:
        return None
    words = [*_SPECIAL, *(f"w{number}" for number in range(VOCABULARY_SIZE - len(_SPECIAL)))]
    backend = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if "fill-mask" in found.tasks:
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=160,
        model_input_names=["input_ids", *(["token_type_ids"] if found.segments else []), "attention_mask"],
    )
