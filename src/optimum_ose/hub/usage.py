"""The part of a model card that shows how to use the model."""

import json

from optimum_ose.hub.facts import CardFacts

_DTYPES = {"onnx/model_quantized.onnx": "q8", "onnx/model.onnx": "fp32"}
"""transformers.js names a file by its number type."""
_JAVASCRIPT_TASKS = frozenset({"text-classification", "feature-extraction"})


def usage_section(facts: CardFacts) -> str:
    """How to ask the model in Python, JavaScript and over HTTP.

    Args:
        facts: task, id and default file are used.

    Returns:
        A Markdown section.
    """
    model = facts.repo_id or "path/to/this/folder"
    example = {"text": "A first text.", "text_pair": "A second one."} if facts.takes_pairs else "A text."
    parts = ["## Use", _fence("python", _transformers(facts.task, model, example))]
    if facts.task in _JAVASCRIPT_TASKS:
        parts += [
            "Without torch and transformers, on ONNX Runtime:",
            _fence("python", _onnx_pipeline(facts, example)),
            "Over HTTP:",
            _fence("shell", _http(facts, example)),
        ]
    if facts.task in _JAVASCRIPT_TASKS and not facts.takes_pairs and facts.repo_id:
        parts += [
            "In the browser or Node.js, with transformers.js:",
            _fence("js", _javascript(facts, json.dumps(example))),
        ]
    return "\n\n".join(parts)


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
        folder, imports = '"path/to/this/folder"', "from optimum_ose.serving import OnnxPipeline\n\n"
    return f"{imports}model = OnnxPipeline.from_pretrained({folder})\nprint(model({json.dumps(example)}))"


def _javascript(facts: CardFacts, example: str) -> str:
    options = f", {{ dtype: {json.dumps(_DTYPES[facts.default_file])} }}" if facts.default_file in _DTYPES else ""
    return (
        'import { pipeline } from "@huggingface/transformers";\n\n'
        f"const model = await pipeline({json.dumps(facts.task)}, {json.dumps(facts.repo_id)}{options});\n"
        f"console.log(await model({example}));"
    )


def _http(facts: CardFacts, example: object) -> str:
    download = f"hf download {facts.repo_id} --local-dir model\n" if facts.repo_id else ""
    folder = "model" if facts.repo_id else "path/to/this/folder"
    return (
        f"{download}optimum-cli ose serve {folder} &\n"
        f"curl http://127.0.0.1:8080/predict --data '{json.dumps({'inputs': example})}'"
    )


def _fence(language: str, code: str) -> str:
    return f"```{language}\n{code}\n```"
