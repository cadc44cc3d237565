"""Continuations over HTTP, whole or token by token, are those of the pipeline."""

import json
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.protocol import ServerLimits
from optimum_ose.serving.served_task import WriteOptions
from optimum_ose.serving.server import create_server
from serving.server_client import ask, predict, running
from serving.test_tasks import GPT2, byte_pairs, exported, whole_words, word_pieces

PROMPTS = ["the cat", "a good movie", "the mat sat on"]
LIMITS = ServerLimits(max_texts=4, max_text_characters=200)


@pytest.fixture(scope="module")
def pipeline(folder_of: Callable[[str], Path]) -> OnnxPipeline:
    return OnnxPipeline.from_pretrained(folder_of("text-generation"), num_threads=1)


@pytest.fixture(scope="module")
def port(folder_of: Callable[[str], Path]) -> Iterator[int]:
    server = create_server(folder_of("text-generation"), port=0, name="writer", num_threads=1, limits=LIMITS)
    with running(server) as number:
        yield number


def post(port: int, path: str, **body: object) -> tuple[int, Any]:
    return ask(port, json.dumps(body).encode(), path=path)


def events(port: int, path: str, **body: object) -> list[Any]:
    """The events of a stream; the last one of OpenAI's is a mark."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", path, json.dumps(body).encode())
    response = connection.getresponse()
    assert (response.status, response.headers["content-type"]) == (200, "text/event-stream")
    parts = response.read().decode().split("\n\n")
    connection.close()
    assert parts.pop() == ""
    assert all(part.startswith("data: ") for part in parts)
    return [part[6:] if part == "data: [DONE]" else json.loads(part[6:]) for part in parts]


def continued(pipeline: OnnxPipeline, prompt: str, count: int) -> str:
    return str(pipeline(prompt, max_new_tokens=count)[0]["generated_text"]).removeprefix(prompt)


def test_completions_are_continuations(port: int, pipeline: OnnxPipeline) -> None:
    status, answer = post(port, "/v1/completions", model="any", prompt=PROMPTS, max_tokens=9, temperature=0)
    assert (status, answer["object"], answer["model"]) == (200, "text_completion", "writer")
    assert [choice["text"] for choice in answer["choices"]] == [continued(pipeline, prompt, 9) for prompt in PROMPTS]
    assert {choice["finish_reason"] for choice in answer["choices"]} <= {"length", "stop"}
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]
    assert 3 <= answer["usage"]["completion_tokens"] <= 27
    lone = post(port, "/v1/completions", prompt=PROMPTS[1])[1]["choices"]
    assert [choice["text"] for choice in lone] == [continued(pipeline, PROMPTS[1], 16)]


def test_a_stream_of_completions_adds_up_to_the_whole(port: int) -> None:
    asked = {"prompt": PROMPTS, "max_tokens": 9}
    whole = post(port, "/v1/completions", **asked)[1]
    found = events(port, "/v1/completions", **asked, stream=True, stream_options={"include_usage": True})
    assert found.pop() == "[DONE]"
    assert found.pop()["usage"] == whole["usage"]
    for choice in whole["choices"]:
        parts = [item["choices"][0] for item in found if item["choices"][0]["index"] == choice["index"]]
        assert "".join(part["text"] for part in parts) == choice["text"]
        reasons = [part["finish_reason"] for part in parts]
        assert reasons == [None] * (len(parts) - 1) + [choice["finish_reason"]]
    assert len({item["id"] for item in found}) == 1


def test_generate_and_its_stream_tell_the_same(port: int, pipeline: OnnxPipeline) -> None:
    asked: dict[str, Any] = {"inputs": PROMPTS[0], "parameters": {"max_new_tokens": 7, "details": True}}
    status, whole = post(port, "/generate", **asked)
    assert (status, whole["generated_text"]) == (200, continued(pipeline, PROMPTS[0], 7))
    tokens = whole["details"]["tokens"]
    assert whole["details"]["generated_tokens"] == len(tokens) <= 7
    assert "".join(token["text"] for token in tokens) == whole["generated_text"]
    assert all(token["logprob"] <= 0 for token in tokens)
    found = events(port, "/generate_stream", **asked)
    assert [item["token"] for item in found] == tokens
    assert [item["index"] for item in found] == list(range(1, len(tokens) + 1))
    assert [item["generated_text"] for item in found] == [None] * (len(tokens) - 1) + [whole["generated_text"]]
    assert found[-1]["details"]["finish_reason"] == whole["details"]["finish_reason"]
    full = post(port, "/generate", inputs=PROMPTS[0], parameters={"max_new_tokens": 7, "return_full_text": True})[1]
    assert full == {"generated_text": PROMPTS[0] + whole["generated_text"]}
    assert post(port, "/", inputs=PROMPTS[0], parameters={"max_new_tokens": 7}) == (200, [full])
    assert events(port, "/", **asked, stream=True)[-1]["generated_text"] == full["generated_text"]


def test_a_log_probability_is_that_of_the_token_in_its_text(port: int, pipeline: OnnxPipeline) -> None:
    asked = {"inputs": "the cat", "parameters": {"max_new_tokens": 3, "details": True}}
    found = post(port, "/generate", **asked)[1]
    tokens = found["details"]["tokens"]
    assert not any(token["special"] for token in tokens)
    told = pipeline.log_probabilities([f"the cat {found['generated_text']}"])[0]
    assert [token["logprob"] for token in tokens] == pytest.approx(told[-3:].tolist(), abs=1e-4)


@pytest.mark.parametrize("path", ["/v1/completions", "/generate"])
def test_a_text_ends_at_a_stop(port: int, pipeline: OnnxPipeline, path: str) -> None:
    text = continued(pipeline, PROMPTS[0], 12)
    stop = text[len(text) // 2 :][:3]
    before = text.index(stop)
    if path == "/generate":  # as TGI, which keeps the stop
        parameters = {"max_new_tokens": 12, "stop": ["no such text", stop], "details": True}
        answer = post(port, path, inputs=PROMPTS[0], parameters=parameters)[1]
        found, reason = answer["generated_text"], answer["details"]["finish_reason"]
        assert (found, reason) == (text[: before + len(stop)], "stop_sequence")
        return
    asked = {"prompt": PROMPTS[0], "max_tokens": 12, "stop": stop}
    (choice,) = post(port, path, **asked)[1]["choices"]
    assert (choice["text"], choice["finish_reason"]) == (text[:before], "stop")
    streamed = events(port, path, **asked, stream=True)[:-1]
    assert "".join(item["choices"][0]["text"] for item in streamed) == text[:before]


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/completions", {}, 400, "no object with the key prompt"),
        ("/v1/completions", {"prompt": []}, 400, "prompt is no text or list of texts"),
        ("/v1/completions", {"prompt": [1, 2]}, 400, "token ids"),
        ("/v1/completions", {"prompt": "a", "temperature": 0.7}, 400, "the most probable token is taken"),
        ("/v1/completions", {"prompt": "a", "temperature": False}, 400, "temperature is False"),
        ("/v1/completions", {"prompt": "a", "n": 2}, 400, "n is 2; it may only be 1"),
        ("/v1/completions", {"prompt": "a", "logprobs": 5}, 400, "logprobs is 5; it must be left out"),
        ("/v1/completions", {"prompt": "a", "max_tokens": 0}, 400, "max_tokens is no positive whole number"),
        ("/v1/completions", {"prompt": "a", "max_tokens": 257}, 422, "max_tokens may be at most 256"),
        ("/v1/completions", {"prompt": "a", "stop": ["a"] * 5}, 422, "stop may hold at most 4"),
        ("/v1/completions", {"prompt": "a", "stop": "a" * 300}, 422, "at most 256 characters"),
        ("/v1/completions", {"prompt": "a", "stop": ""}, 400, "stop is empty"),
        ("/v1/completions", {"prompt": "a", "stream": 1}, 400, "stream is neither true nor false"),
        ("/v1/completions", {"prompt": "a", "stream_options": []}, 400, "stream_options is no object"),
        ("/v1/completions", {"prompt": ["a"] * 5}, 422, "it holds 5"),
        ("/v1/completions", {"prompt": "", "stream": True}, 400, "at least one token"),
        ("/v1/completions", {"prompt": ["the cat", ""]}, 400, "at least one token"),
        ("/generate", {"inputs": ["a"]}, 400, "inputs is no text"),
        ("/generate", {"inputs": "a", "parameters": {"do_sample": True}}, 400, "do_sample is True"),
        ("/generate", {"inputs": "a", "parameters": {"top_p": 0.9}}, 400, "top_p is 0.9"),
        ("/generate", {"inputs": "a", "parameters": {"unknown": 1}}, 400, "it has unknown"),
        ("/generate", {"inputs": "a", "parameters": [7]}, 400, "parameters is no object"),
        ("/generate_stream", {"inputs": "cat" * 100}, 422, "one has 300"),
        ("/generate_stream", {"inputs": "a " * 70}, 400, "fewer than 64 tokens"),
        ("/", {"inputs": {"a": "b"}}, 400, "inputs is no text"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_is_asked_wrongly_is_refused(port: int, path: str, body: Any, status: int, message: str) -> None:
    answered, content = post(port, path, **body)
    assert (answered, message in json.dumps(content)) == (status, True)


@pytest.mark.parametrize("prompts", [["the cat", ""], ["", "the cat"], ["the cat", "a " * 70]])
def test_prompts_are_checked_before_the_first_piece_of_a_stream(
    port: int, pipeline: OnnxPipeline, prompts: list[str]
) -> None:
    for stream in (False, True):
        status, content = post(port, "/v1/completions", prompt=prompts, stream=stream)
        assert (status, content["error"]["type"]) == (400, "invalid_request_error")
    assert predict(port, "the cat", max_new_tokens=4) == (200, pipeline("the cat", max_new_tokens=4))


@pytest.mark.parametrize("make", [word_pieces, whole_words, byte_pairs], ids=["word pieces", "words", "byte pairs"])
@pytest.mark.parametrize("cleans", [False, True])
def test_pieces_add_up_to_the_continuation(
    tmp_path: Path, make: Callable[[], PreTrainedTokenizerFast], cleans: bool
) -> None:
    config = GPT2.__class__(**{**GPT2.to_dict(), "vocab_size": 320})
    exported(AutoModelForCausalLM, config, tmp_path, make)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    settings["clean_up_tokenization_spaces"] = cleans
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    served = OnnxPipeline.from_pretrained(tmp_path, num_threads=1)
    write = served.direct_task.write if served.direct_task else None
    assert write is not None
    for prompt in PROMPTS:
        pieces = list(write(prompt, WriteOptions(max_new_tokens=30)))
        assert "".join(piece.text for piece in pieces) == continued(served, prompt, 30)
        assert [piece.finish is not None for piece in pieces] == [False] * (len(pieces) - 1) + [True]
