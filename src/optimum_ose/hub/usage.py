"""The part of a model card that shows how to use the model."""

import json
from collections.abc import Mapping
from dataclasses import replace

from huggingface_hub import ModelCard

from optimum_ose.hub.facts import CardFacts
from optimum_ose.serving.graphs import DECODER, FULL, INT8, MODEL, onnx_file
from optimum_ose.serving.tasks import served_tasks

_DTYPES = {
    onnx_file(graph, ending): dtype for graph in (MODEL, DECODER) for ending, dtype in ((INT8, "q8"), (FULL, "fp32"))
}
"""transformers.js names a file by its number type."""
_UNNAMED = "path/to/this/folder"
"""Stands for the model as long as no repository is named."""
_TEXT, _PAIR = "A text.", {"text": "A first text.", "text_pair": "A second one."}


def usage_section(facts: CardFacts) -> str:
    """How to ask the model in Python, JavaScript and over HTTP.

    Args:
        facts: task, id and default file are used.

    Returns:
        A Markdown section.
    """
    model = facts.repo_id or _UNNAMED
    served = served_tasks().get(facts.task)
    takes_texts = served is not None and served.example is None
    example = (_PAIR if facts.takes_pairs else _TEXT) if served is None or takes_texts else served.example
    parts = ["## Use"]
    if served is not None and served.python is not None:
        parts.append(_fence("python", served.python.format(model=json.dumps(model), example=json.dumps(example))))
    elif served is None or served.is_in_transformers:
        parts.append(_fence("python", _transformers(facts.task, model, example)))
    if served is not None and served.is_on_cards:
        parts += [
            "Without torch and transformers, on ONNX Runtime:",
            _fence("python", _onnx_pipeline(facts, example)),
        ]
        parts += ["Over HTTP:", _fence("shell", _http(facts, example, is_file=served.reads in {"images", "sounds"}))]
    if (
        served is not None
        and served.is_on_cards
        and served.is_in_javascript
        and served.reads != "sounds"
        and served.is_in_javascript
        and not (takes_texts and facts.takes_pairs)
    ):
        values = example.values() if isinstance(example, Mapping) else [example]
        parts += [
            "In Node.js or a browser, with transformers.js:",
            _fence("js", _javascript(facts, ", ".join(map(json.dumps, values)))),
        ]
    return "\n\n".join(parts)


def named_card(text: str, repo_id: str) -> str:
    """A card that was written before the repository had a name, with the examples of use for that name.

    Args:
        text: the card. Examples that a person has changed stay as they are.
        repo_id: `user/name`.
    """
    data = ModelCard(text, ignore_metadata_errors=True).data
    for takes_pairs in (False, True):
        unnamed = CardFacts(model_name="", task=str(data.get("pipeline_tag")), takes_pairs=takes_pairs)
        for default_file in (None, *_DTYPES):
            facts = replace(unnamed, default_file=default_file)
            text = text.replace(usage_section(facts), usage_section(replace(facts, repo_id=repo_id)))
    return text


def _transformers(task: str, model: str, example: object) -> str:
    return (
        "from transformers import pipeline\n\n"
        f"model = pipeline({json.dumps(task)}, model={json.dumps(model)})\n"
        f"print(model({json.dumps(example)}))"
    )


def _onnx_pipeline(facts: CardFacts, example: object) -> str:
    if facts.repo_id:
        folder = f"snapshot_download({json.dumps(facts.repo_id)})"
        imports = "from huggingface_hub import snapshot_download\nfrom optimum_ose.serving import OnnxPipeline\n\n"
    else:
        folder, imports = json.dumps(_UNNAMED), "from optimum_ose.serving import OnnxPipeline\n\n"
    return f"{imports}model = OnnxPipeline.from_pretrained({folder})\nprint(model({json.dumps(example)}))"


def _javascript(facts: CardFacts, example: str) -> str:
    options = f", {{ dtype: {json.dumps(_DTYPES[facts.default_file])} }}" if facts.default_file in _DTYPES else ""
    names, setting, model = "pipeline", "", facts.repo_id
    if facts.repo_id is None:
        parent, _, model = _UNNAMED.rpartition("/")
        names, setting = "env, pipeline", f"env.localModelPath = {json.dumps(parent)};\n"
    return (
        f'import {{ {names} }} from "@huggingface/transformers";\n\n{setting}'
        f"const model = await pipeline({json.dumps(facts.task)}, {json.dumps(model)}{options});\n"
        f"console.log(await model({example}));"
    )


def _http(facts: CardFacts, example: object, *, is_file: bool) -> str:
    body = f"--data-binary @{example}" if is_file else f"--data '{json.dumps({'inputs': example})}'"
    download = f"hf download {facts.repo_id} --local-dir model\n" if facts.repo_id else ""
    folder = "model" if facts.repo_id else _UNNAMED
    return f"{download}optimum-cli ose serve {folder} &\ncurl http://127.0.0.1:8080/predict {body}"


def _fence(language: str, code: str) -> str:
    return f"```{language}\n{code}\n```"
