"""An exported folder read into memory: what its model does, its session, its tokenizer and their settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from tokenizers import Tokenizer

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError, is_panic
from optimum_ose.serving.decoding import Decoder, token_id
from optimum_ose.serving.fill_mask import MaskFiller
from optimum_ose.serving.folder import has_file, read_object, read_tokenizer
from optimum_ose.serving.padding import Padding
from optimum_ose.serving.runner import Runner, open_session
from optimum_ose.serving.settings import check_config, check_tokenizer_settings, stated_length
from optimum_ose.serving.trial import Trial
from optimum_ose.wording import one_line

_TASKS = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "Model": "feature-extraction",
}
_QUANTIZED = "onnx/model_quantized.onnx"
_EXPORT_MARK = "ose/exported"
"""Is in folders that an export of ours wrote; `ose/export.json` comes last."""
_RARE_TEXT = "a \U0010fffd"
"""Holds a character that is in no vocabulary."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that can answer."""

    task: str
    """What it does."""
    config: Mapping[str, Any]
    """Its config.json."""
    runner: Runner
    """Session and tokenizer."""
    decoder: Decoder
    """Tokens back to text."""
    filler: MaskFiller | None
    """Of a masked language model."""
    max_length: int | None
    """Tokens per text; None: no limit."""
    first_id: int | None
    """Of the token before every text."""
    unknown_id: int | None
    """Of the token for words that the tokenizer does not know."""
    end_ids: frozenset[int]
    """Of tokens after which a generated text is over."""


def load_model(
    folder: Path, model_path: Path, *, config: dict[str, Any], settings: dict[str, Any], num_threads: int | None
) -> Model:
    """Open the session and the tokenizer of a folder, and try what the model can take.

    Args:
        folder: holds `tokenizer.json`, and of a text generator perhaps `generation_config.json`.
        model_path: the ONNX file.
        config: what `config.json` holds.
        settings: what `tokenizer_config.json` holds.
        num_threads: intra-op threads; None leaves the choice to ONNX Runtime.

    Raises:
        OutputFolderError: if a file is missing.
        InvalidConfigError: if a file is damaged, or the files do not belong together.
        UnsupportedModelError: if the model is for another task.
    """
    task = model_task(config)
    check_tokenizer_settings(settings)
    tokenizer = _load_tokenizer(folder)
    padding = Padding(config, settings, tokenizer)
    runner = Runner(open_session(model_path, num_threads), tokenizer, padding)
    task = "sentence-embedding" if "sentence_embedding" in runner.output_names else task
    trial = Trial(runner, file=model_path.name)
    trial.check(task, config)
    limit = trial.length(stated_length(config, settings))
    _cut(tokenizer, limit, settings)
    decoder = Decoder(tokenizer, settings)
    mask_id = token_id(tokenizer, settings, "mask_token")
    filler = None
    if task == "fill-mask":
        if mask_id is None:
            raise InvalidConfigError(
                "The tokenizer of a masked language model must have a mask", "it names none", "Export the model again"
            )
        mask = tokenizer.id_to_token(mask_id) or ""
        filler = MaskFiller(decoder, mask=mask, mask_id=mask_id, pad_id=padding.pad_id)
    return Model(
        task=task,
        config=config,
        runner=runner,
        decoder=decoder,
        filler=filler,
        max_length=limit,
        first_id=token_id(tokenizer, settings, "cls_token"),
        unknown_id=token_id(tokenizer, settings, "unk_token"),
        end_ids=_end_ids(folder, config) if task == "text-generation" else frozenset(),
    )


def model_task(config: Mapping[str, Any]) -> str:
    """What a model does, by the name of its class.

    Raises:
        UnsupportedModelError: if that is nothing known here.
        InvalidConfigError: if the config is damaged.
    """
    check_config(config)
    architecture = str((config.get("architectures") or ["unknown"])[0])
    for ending, task in _TASKS.items():
        if architecture.endswith(ending):
            return task
    raise UnsupportedModelError(
        f"Serving knows {', '.join(dict.fromkeys(_TASKS.values()))}, all of texts",
        f"the model is a {architecture}",
        "Load it with transformers or optimum-onnx instead",
    )


def default_file(folder: Path) -> str:
    """The file that the benchmark recommends, else that which the export recommends, else int8, else fp32.

    An export of ours that was cut off has compared nothing: fp32.
    """
    for record in ("ose/benchmark.json", "ose/export.json"):
        if has_file(folder, record):
            recommended = read_object(folder, record).get("default_file")
            if isinstance(recommended, str):
                return recommended
    is_compared = not has_file(folder, _EXPORT_MARK)
    return _QUANTIZED if is_compared and has_file(folder, _QUANTIZED) else "onnx/model.onnx"


def _load_tokenizer(folder: Path) -> Tokenizer:
    text = read_tokenizer(folder)
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises no narrower class
        raise InvalidConfigError(
            "tokenizer.json must be a tokenizer that the library tokenizers can read",
            str(error),
            "Export the model again",
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    _require_encoding(tokenizer)
    return tokenizer


def _require_encoding(tokenizer: Tokenizer) -> None:
    """Refuse a tokenizer that fails on every text, as one does whose template names a token that it does not have."""
    try:
        tokenizer.encode(_RARE_TEXT)
        tokenizer.encode(_RARE_TEXT, "b")
    except BaseException as error:
        if not (isinstance(error, Exception) or is_panic(error)):
            raise
        raise InvalidConfigError(
            "tokenizer.json must be a tokenizer that encodes texts and pairs of texts",
            f"it fails on a short one: {one_line(error, limit=120)}",
            "Export the model again",
        ) from error


def _cut(tokenizer: Tokenizer, limit: int | None, settings: Mapping[str, Any]) -> None:
    """Let the tokenizer cut texts to the limit.

    Raises:
        InvalidConfigError: if the tokens that every text gets leave no room.
    """
    if limit is None:
        return
    special = tokenizer.num_special_tokens_to_add(False)
    if limit <= special:
        raise InvalidConfigError(
            f"A text must be allowed more than its {special} special tokens",
            f"the folder's files allow {limit} tokens",
            "Set model_max_length in tokenizer_config.json to the length that the model reads",
        )
    tokenizer.enable_truncation(limit, direction=settings.get("truncation_side") or "right")


def _end_ids(folder: Path, config: Mapping[str, Any]) -> frozenset[int]:
    generation = read_object(folder, "generation_config.json") if has_file(folder, "generation_config.json") else {}
    ids = generation.get("eos_token_id", config.get("eos_token_id"))
    return frozenset(item for item in (ids if isinstance(ids, list) else [ids]) if isinstance(item, int))
