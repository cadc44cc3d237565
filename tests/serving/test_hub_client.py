"""`InferenceClient(base_url=...)` of huggingface_hub knows the address of the server alone, and understands it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.exposure import Exposure
from optimum_ose.serving.server import create_server
from serving.served_folders import wave_file
from serving.server_client import running
from serving.test_served_images import noise, saved

KEY = "0123456789abcdef"
ASKED: dict[str, str] = {
    "text-classification": "client.text_classification('a good film')",
    "token-classification": "client.token_classification('the catsing cats sat')",
    "fill-mask": "client.fill_mask('the [MASK] sat')",
    "question-answering": "client.question_answering(question='the cat', context='the cat sat on the mat')",
    "sentence-embedding": "client.feature_extraction('the cat', normalize=True).tolist()",
    "text-generation": "client.text_generation('the cat', max_new_tokens=5)",
    "image-classification": "client.image_classification(Path(sys.argv[2]).read_bytes())",
    "automatic-speech-recognition": "client.automatic_speech_recognition(Path(sys.argv[2]).read_bytes())",
}
SCRIPT = """
import json, sys
from pathlib import Path
from huggingface_hub import InferenceClient
client = InferenceClient(base_url=sys.argv[1], token={key!r})
print(json.dumps([{asked}]))
"""


def ask_by_client(folder: Path, content: Path, *asked: str) -> Any:
    """What the client gets, in a process of its own, which may use the network."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
    with running(create_server(folder, port=0, num_threads=1, exposure=Exposure(api_key=KEY))) as port:
        script = SCRIPT.format(key=KEY, asked=", ".join(asked))
        command = [sys.executable, "-c", script, f"http://127.0.0.1:{port}", str(content)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def expected(task: str, served: OnnxPipeline, content: bytes) -> Any:
    """The same in Python."""
    if task == "text-classification":
        return served("a good film", top_k=None)
    if task == "token-classification":
        return served("the catsing cats sat", aggregation_strategy="simple")
    if task == "fill-mask":
        return served("the [MASK] sat")
    if task == "question-answering":
        return served({"question": "the cat", "context": "the cat sat on the mat"})
    if task == "sentence-embedding":
        vector = np.array(served("the cat"))
        return [(vector / np.linalg.norm(vector)).tolist()]
    if task == "text-generation":
        return served("the cat", max_new_tokens=5)[0]["generated_text"]
    return served(content)


def numbers(value: Any) -> Any:
    """Names and texts as they are, numbers about; what the client adds as null left out."""
    if isinstance(value, dict):
        return {key: numbers(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [numbers(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


@pytest.mark.parametrize("task", ASKED)
def test_each_task_is_answered_as_in_python(task: str, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    content = saved(Image.fromarray(noise(40, 61)), "PNG") if task.startswith("image") else wave_file()
    (tmp_path / "content").write_bytes(content)
    (found,) = ask_by_client(folder_of(task), tmp_path / "content", ASKED[task])
    served = OnnxPipeline.from_pretrained(folder_of(task), num_threads=1)
    wanted = numbers(expected(task, served, content))
    assert json.dumps(numbers(found), sort_keys=True) == json.dumps(wanted, sort_keys=True)


def test_sentences_are_compared_and_tokens_streamed(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    compared = "client.sentence_similarity('the cat', other_sentences=['a mat', 'the cat'])"
    ((other, same),) = ask_by_client(folder_of("sentence-embedding"), tmp_path, compared)
    assert other < same == pytest.approx(1.0, abs=1e-5)
    text = "client.text_generation('the cat', max_new_tokens=6"
    whole, parts, details = ask_by_client(
        folder_of("text-generation"),
        tmp_path,
        f"{text}, return_full_text=False)",
        f"list({text}, stream=True))",
        f"{text}, details=True)",
    )
    assert len(parts) == 6
    assert "".join(parts) == whole
    assert [token["text"] for token in details["details"]["tokens"]] == parts


def test_a_wrong_key_is_refused(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    wrong = "InferenceClient(base_url=sys.argv[1], token='another-key-of-16').text_classification('a')"
    with pytest.raises(AssertionError, match="401"):
        ask_by_client(folder_of("text-classification"), tmp_path, wrong)
