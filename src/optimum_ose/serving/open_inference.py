"""The Open Inference Protocol (V2) over HTTP, with the binary tensors that Triton's clients send by default."""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.serving.checked_inputs import checked_pairs
from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.serving.protocol import RequestError, ServerLimits, parse_json
from optimum_ose.serving.served_task import Outputs, Rows
from optimum_ose.wording import shown

HEADER_LENGTH = "inference-header-content-length"
VERSION = "1"
_LENGTH = struct.Struct("<I")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    """A parsed request."""

    pairs: list[TextPair]
    """The texts."""
    outputs: tuple[tuple[str, bool], ...]
    """Names of the tensors to be sent, and whether in binary."""
    identifier: str | None
    """What the client calls this request."""


def check_name(name: object) -> None:
    """Refuse a model's name that `/v2/models/NAME` cannot hold.

    Raises:
        InvalidConfigError: if it is no text, empty, or holds a slash.
    """
    if not isinstance(name, str) or not name or "/" in name:
        raise InvalidConfigError(
            "The name of a served model must be text without slashes, as a part of /v2/models/NAME",
            f"got {shown(name)}",
            "Give another one",
        )


def model_metadata(name: str, pipeline: OnnxPipeline) -> dict[str, Any]:
    """What the model takes and gives; -1 stands for any size."""
    outputs = [dict(zip(("name", "datatype", "shape"), item, strict=True)) for item in pipeline.row_task.outputs]
    inputs = [{"name": item, "datatype": "BYTES", "shape": [-1]} for item in ("text", "text_pair")]
    return {"name": name, "versions": [VERSION], "platform": "onnxruntime_onnx", "inputs": inputs, "outputs": outputs}


def parse_infer(body: bytes, header_length: str | None, *, outputs: Outputs, limits: ServerLimits) -> InferRequest:
    """A request whose JSON is followed by the binary tensors.

    Args:
        body: the whole body.
        header_length: size of the JSON, where the client told it.
        outputs: of the model.
        limits: for the texts.

    Raises:
        RequestError: 400 if anything is malformed, 422 on too many or too long texts.
    """
    size = _whole_number(header_length) if header_length is not None else len(body)
    if size > len(body):
        raise _refusal(f"the JSON is {size} bytes long, the body {len(body)}")
    content, rest = parse_json(body[:size]), body[size:]
    if not isinstance(content, dict) or not _are_objects(content.get("inputs")):
        raise _refusal("the body is no object with a list inputs")
    columns: dict[str, list[str]] = {}
    for tensor in content["inputs"]:
        texts, rest = _column(tensor, rest, limits)
        columns[str(tensor["name"])] = texts
    if rest:
        raise _refusal(f"{len(rest)} bytes belong to no input")
    partners = columns.get("text_pair")
    if "text" not in columns or (partners is not None and len(partners) != len(columns["text"])):
        raise _refusal("there is no input text, or text_pair has another shape")
    rows: list[Any] = columns["text"]
    if partners is not None:
        rows = [{"text": text, "text_pair": pair} for text, pair in zip(columns["text"], partners, strict=True)]
    identifier = content.get("id")
    return InferRequest(
        pairs=checked_pairs(rows, limits),
        outputs=_requested(content, outputs),
        identifier=identifier if isinstance(identifier, str) else None,
    )


def render_infer(
    request: InferRequest, rows: list[NDArray[np.float32]], *, name: str, pipeline: OnnxPipeline
) -> tuple[bytes, int | None]:
    """The body of the answer, and the size of its JSON if binary tensors follow it."""
    tensors = _tensors(request.pairs, rows, pipeline)
    datatypes = {output: datatype for output, datatype, _ in pipeline.row_task.outputs}
    described: list[dict[str, Any]] = []
    blobs = []
    for output, binary in request.outputs:
        tensor = tensors[output]
        described.append({"name": output, "datatype": datatypes[output], "shape": list(tensor.shape)})
        if binary:
            blobs.append(_packed(tensor))
            described[-1]["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            described[-1]["data"] = tensor.ravel().tolist()
    content: dict[str, Any] = {"model_name": name, "model_version": VERSION, "outputs": described}
    if request.identifier is not None:
        content["id"] = request.identifier
    head = json.dumps(content, allow_nan=False).encode()
    return b"".join([head, *blobs]), len(head) if blobs else None


def _column(tensor: dict[str, Any], rest: bytes, limits: ServerLimits) -> tuple[list[str], bytes]:
    """The texts of one input, and the binary data of those after it."""
    name, shape, parameters = tensor.get("name"), tensor.get("shape"), _parameters(tensor)
    if name not in ("text", "text_pair") or tensor.get("datatype") != "BYTES" or not isinstance(parameters, dict):
        raise _refusal("an input is not text or text_pair with the datatype BYTES")
    if not isinstance(shape, list) or not 1 <= len(shape) <= 2 or shape[1:] not in ([], [1]):
        raise _refusal(f"the shape of {name} is neither [n] nor [n, 1]")
    if parameters.get("binary_data_size") is None:
        texts = _flat(tensor.get("data"))
    else:
        size = _whole_number(parameters["binary_data_size"])
        if size > len(rest):
            raise _refusal(f"{name} is longer than the body")
        texts, rest = list(_unpacked(memoryview(rest)[:size], limits.max_texts)), rest[size:]
    if shape[0] != len(texts):
        raise _refusal(f"{name} holds {len(texts)} texts, its shape tells another number")
    return texts, rest


def _requested(content: dict[str, Any], outputs: Outputs) -> tuple[tuple[str, bool], ...]:
    names = [output for output, _, _ in outputs]
    requested, parameters = content.get("outputs"), _parameters(content)
    if not isinstance(parameters, dict):
        raise _refusal("parameters is no object")
    default = _flag(parameters, "binary_data_output", default=False)
    if requested is None or requested == []:
        return tuple((name, default) for name in names)
    if not _are_objects(requested) or not all(output.get("name") in names for output in requested):
        raise _refusal(f"the outputs are {', '.join(names)}; others were asked for")
    options = [_parameters(output) for output in requested]
    if not _are_objects(options):
        raise _refusal("the parameters of an output are no object")
    pairs = zip(requested, options, strict=True)
    return tuple({output["name"]: _flag(option, "binary_data", default=default) for output, option in pairs}.items())


def _tensors(pairs: list[TextPair], rows: Rows, pipeline: OnnxPipeline) -> Mapping[str, NDArray[Any]]:
    if pipeline.row_task.tensors is not None:
        return pipeline.row_task.tensors(rows)
    texts = [json.dumps(answer, allow_nan=False) for answer in pipeline.answers(pairs, rows)]
    return {"answer": np.array(texts, dtype=object)}


def _packed(tensor: NDArray[Any]) -> bytes:
    if tensor.dtype != object:
        return tensor.astype(tensor.dtype.newbyteorder("<")).tobytes()
    texts = [str(text).encode() for text in tensor.ravel()]
    return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))


def _unpacked(data: memoryview, max_texts: int) -> Iterator[str]:
    """Texts of a BYTES tensor; one more than allowed at most, so that many empty ones cost nothing."""
    for _ in range(max_texts + 1):
        if not data:
            return
        size = _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else len(data)
        text, data = data[_LENGTH.size : _LENGTH.size + size], data[_LENGTH.size + size :]
        if len(text) != size:
            raise _refusal("a text of a binary input is cut off")
        try:
            yield str(text, "utf-8")
        except UnicodeDecodeError as error:
            raise _refusal("a text of a binary input is not UTF-8") from error


def _flat(data: object) -> list[Any]:
    """A list, or a list of lists of one element."""
    if not isinstance(data, list):
        raise _refusal("an input has no list data")
    return [item[0] if isinstance(item, list) and len(item) == 1 else item for item in data]


def _parameters(owner: Mapping[str, Any]) -> Any:
    """What an object names as its parameters; none, or null, is an empty object."""
    found = owner.get("parameters")
    return {} if found is None else found


def _flag(parameters: Mapping[str, Any], name: str, *, default: bool) -> bool:
    found = parameters.get(name)
    if found is not None and not isinstance(found, bool):
        raise _refusal(f"{name} is neither true nor false")
    return default if found is None else found


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _whole_number(value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) < 12):
        raise _refusal("a size is no whole number")
    return int(text)


def _refusal(actual: str) -> RequestError:
    return RequestError(
        HTTPStatus.BAD_REQUEST,
        expected="A request must follow the Open Inference Protocol, with the BYTES input text and perhaps text_pair",
        actual=actual,
        remedy='Send {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a text"]}]}',
    )
