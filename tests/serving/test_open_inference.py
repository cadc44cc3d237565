"""Clients of Triton and KServe get from /v2 what the pipeline gives."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoModel, BertConfig
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from export.tiny_text import BERT_SIZES, save, tiny_tokenizer
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.protocol import ServerLimits
from optimum_ose.serving.server import create_server
from serving.server_client import ask, running

TEXTS = ["a good film", "", "the cät sat\n"]
LIMITS = ServerLimits(max_texts=4, max_text_characters=100)


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    with running(create_server(folder, port=0, name="film", num_threads=1, limits=LIMITS)) as number:
        yield number


@pytest.fixture
def client(port: int) -> Iterator[InferenceServerClient]:
    client = InferenceServerClient(f"127.0.0.1:{port}")
    yield client
    client.close()


def column(name: str, texts: list[str], *, binary: bool = True, shape: list[int] | None = None) -> InferInput:
    tensor = InferInput(name, shape or [len(texts)], "BYTES")
    data = np.array([text.encode() for text in texts], dtype=object).reshape(shape or [len(texts)])
    tensor.set_data_from_numpy(data, binary_data=binary)
    return tensor


def test_the_server_tells_what_it_is(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("film")
    assert client.is_model_ready("film", "1")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata("film")
    assert [item["name"] for item in metadata["inputs"]] == ["text", "text_pair"]
    assert [item["datatype"] for item in metadata["outputs"]] == ["BYTES", "FP32", "FP32"]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_answers_are_those_of_the_pipeline(
    client: InferenceServerClient, folder: Path, binary_in: bool, binary_out: bool
) -> None:
    wanted = [InferRequestedOutput(name, binary_data=binary_out) for name in ("label", "score", "scores")]
    result = client.infer("film", [column("text", TEXTS, binary=binary_in)], outputs=wanted, request_id="7")
    expected = OnnxPipeline.from_pretrained(folder, num_threads=1)(TEXTS, top_k=None)
    labels = [label.decode() if isinstance(label, bytes) else label for label in result.as_numpy("label")]
    assert labels == [answer[0]["label"] for answer in expected]
    assert result.as_numpy("score") == pytest.approx([answer[0]["score"] for answer in expected], abs=1e-5)
    assert np.sort(result.as_numpy("scores"))[:, ::-1] == pytest.approx(
        np.array([[item["score"] for item in answer] for answer in expected]), abs=1e-5
    )
    assert result.get_response()["id"] == "7"


def test_a_client_that_names_no_output_gets_all(client: InferenceServerClient) -> None:
    result = client.infer("film", [column("text", TEXTS)], model_version="1")
    assert {item["name"] for item in result.get_response()["outputs"]} == {"label", "score", "scores"}
    assert result.as_numpy("scores").shape == (3, 3)


def test_pairs_and_columns_of_shape_n_1_are_taken(client: InferenceServerClient, folder: Path) -> None:
    inputs = [column("text", ["the cat"], shape=[1, 1]), column("text_pair", ["a mat"], shape=[1, 1])]
    expected = OnnxPipeline.from_pretrained(folder, num_threads=1)({"text": "the cat", "text_pair": "a mat"})
    assert client.infer("film", inputs).as_numpy("score") == pytest.approx([expected["score"]], abs=1e-5)


def test_token_vectors_come_padded_with_their_mask(tmp_path: Path) -> None:
    model = AutoModel.from_config(BertConfig(**BERT_SIZES)).eval()
    export_onnx(model, tiny_tokenizer(), save(model, tmp_path))
    expected = OnnxPipeline.from_pretrained(tmp_path, num_threads=1)(TEXTS)
    with running(create_server(tmp_path, port=0, name="vectors", num_threads=1)) as port:
        client = InferenceServerClient(f"127.0.0.1:{port}")
        result = client.infer("vectors", [column("text", TEXTS)])
        client.close()
        assert ask(port, json.dumps({"inputs": TEXTS[0]}).encode())[0] == 200
    vectors, mask = result.as_numpy("last_hidden_state"), result.as_numpy("attention_mask")
    for index, rows in enumerate(expected):
        assert vectors[index][mask[index] == 1] == pytest.approx(np.array(rows[0]), abs=1e-5)


def test_a_larger_answer_than_allowed_is_refused(tmp_path: Path) -> None:
    model = AutoModel.from_config(BertConfig(**BERT_SIZES)).eval()
    export_onnx(model, tiny_tokenizer(), save(model, tmp_path))
    limits = ServerLimits(max_answer_values=200)
    with running(create_server(tmp_path, port=0, num_threads=1, limits=limits)) as port:
        status, content = ask(port, json.dumps({"inputs": "the cat sat on a mat"}).encode())
    assert (status, content["expected"]) == (422, "An answer may hold at most 200 numbers")


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]} | changes


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        ([], 400, "no object with a list inputs"),
        ({"inputs": 7}, 400, "no object with a list inputs"),
        ({"inputs": "text"}, 400, "no object with a list inputs"),
        ({"inputs": []}, 400, "there is no input text"),
        ({"inputs": [tensor(name="image")]}, 400, "an input is not text"),
        ({"inputs": [tensor(datatype="FP32")]}, 400, "an input is not text"),
        ({"inputs": [tensor(shape=[1, 2])]}, 400, "neither [n] nor [n, 1]"),
        ({"inputs": [tensor(shape=[])]}, 400, "neither [n] nor [n, 1]"),
        ({"inputs": [tensor(shape=[2])]}, 400, "holds 1 texts, its shape tells another number"),
        ({"inputs": [tensor(data=[7])]}, 400, "got a value of type int"),
        ({"inputs": [tensor(data="a")]}, 400, "an input has no list data"),
        ({"inputs": [tensor(parameters=[7])]}, 400, "an input is not text"),
        ({"inputs": [tensor(parameters={"binary_data_size": 9})]}, 400, "longer than the body"),
        ({"inputs": [tensor(parameters={"binary_data_size": -1})]}, 400, "a size is no whole number"),
        ({"inputs": [tensor(), tensor(name="text_pair", data=["a", "b"], shape=[2])]}, 400, "another shape"),
        ({"inputs": [tensor()], "outputs": [{"name": "logits"}]}, 400, "others were asked for"),
        ({"inputs": [tensor()], "outputs": [{"name": "label", "parameters": 7}]}, 400, "of an output are no object"),
        ({"inputs": [tensor()], "parameters": 7}, 400, "parameters is no object"),
        ({"inputs": [tensor()], "parameters": []}, 400, "parameters is no object"),
        ({"inputs": [tensor(parameters=[])]}, 400, "an input is not text"),
        ({"inputs": [tensor()], "outputs": ""}, 400, "others were asked for"),
        ({"inputs": [tensor()], "outputs": [{"name": "label", "parameters": 0}]}, 400, "of an output are no object"),
        ({"inputs": [tensor()], "parameters": {"binary_data_output": 1}}, 400, "neither true nor false"),
        (
            {"inputs": [tensor()], "outputs": [{"name": "label", "parameters": {"binary_data": "yes"}}]},
            400,
            "binary_data is neither true nor false",
        ),
        ({"inputs": [tensor(data=["a"] * 5, shape=[5])]}, 422, "it holds 5"),
        ({"inputs": [tensor(data=["a" * 101])]}, 422, "one has 101"),
    ],
    ids=str,
)
def test_a_malformed_request_is_refused_with_the_reason(port: int, content: Any, status: int, message: str) -> None:
    answered, refusal = ask(port, json.dumps(content).encode(), path="/v2/models/film/infer")
    assert answered == status
    assert message in refusal["error"]


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"\x01\x00\x00\x00", "cut off"),
        (b"\x01", "cut off"),
        (b"\x01\x00\x00\x00\xff", "not UTF-8"),
        (b"\x01\x00\x00\x00a\x00", "cut off"),
        (b"\0" * 4000, "holds 5 texts"),
    ],
)
def test_malformed_binary_data_is_refused(port: int, blob: bytes, message: str) -> None:
    head = json.dumps({"inputs": [tensor(data=None, parameters={"binary_data_size": len(blob)})]}).encode()
    size = {"Inference-Header-Content-Length": str(len(head))}
    status, refusal = ask(port, head + blob, path="/v2/models/film/infer", **size)
    assert (status, message in refusal["error"]) == (400, True)
    status, refusal = ask(port, head + blob + b"x", path="/v2/models/film/infer", **size)
    assert status == 400
    for wrong in ("x", "-1", "99999"):
        header = {"Inference-Header-Content-Length": wrong}
        assert ask(port, head + blob, path="/v2/models/film/infer", **header)[0] == 400


def test_another_model_is_not_found(client: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="The model of this server is film"):
        client.infer("other", [column("text", TEXTS)])
