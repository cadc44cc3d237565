"""The endpoints of Text Embeddings Inference (TEI): `/embed`, `/similarity`, `/rerank`, and its form of `/predict`.

Source: the request and response types of TEI's router (router/src/http/types.rs).
"""

from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from optimum_ose.serving.checked_inputs import checked_pairs
from optimum_ose.serving.endpoint import Endpoint
from optimum_ose.serving.fields import Body, Field
from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.kinds import Anything, Choice, Flag, Only, Text, Texts, Whole
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.serving.protocol import ServerLimits, parse_json, too_much
from optimum_ose.serving.replies import json_reply
from optimum_ose.serving.served_task import Options
from optimum_ose.serving.service import Service
from optimum_ose.serving.vectors import NEEDS, check_cut, gives_vectors, vectors

_CUTTING = {
    "truncate": Field(kind=Flag(), meaning="false: refuse texts that are too long; else they are cut"),
    "truncation_direction": Field(
        kind=Choice(("left", "right", "Left", "Right")), meaning="where texts are cut: the folder's side only"
    ),
}
_PROMPT = Field(kind=Only(because="prompts are not applied; put it before the text"), meaning="not supported")
_RAW = Field(kind=Flag(), meaning="whether scores are the model's own numbers", default=False)
EMBED = Body(
    fields={
        "inputs": Field(kind=Texts(), meaning="a text or a list of texts", is_required=True),
        **_CUTTING,
        "prompt_name": _PROMPT,
        "normalize": Field(kind=Flag(), meaning="whether vectors get length 1", default=True),
        "dimensions": Field(kind=Whole(), meaning="numbers of each vector that are kept, the first ones"),
        "encoding_format": Field(kind=Only(("float",)), meaning="of huggingface_hub's client"),
    },
    example={"inputs": ["a text", "another text"]},
)
"""Of `/embed`."""
_SENTENCES = Body(
    fields={
        "source_sentence": Field(kind=Text(), meaning="the text that the others are compared with", is_required=True),
        "sentences": Field(kind=Texts(takes_one=False), meaning="the others", is_required=True),
    },
    example={"source_sentence": "a text", "sentences": ["another text"]},
)
SIMILARITY = Body(
    fields={
        "inputs": Field(kind=_SENTENCES, meaning="the texts", is_required=True),
        "parameters": Field(kind=Body(fields={**_CUTTING, "prompt_name": _PROMPT}), meaning="how to read them"),
    },
    example={"inputs": {"source_sentence": "a text", "sentences": ["another text", "a third one"]}},
)
"""Of `/similarity`."""
RERANK = Body(
    fields={
        "query": Field(kind=Text(), meaning="what is looked for", is_required=True),
        "texts": Field(kind=Texts(takes_one=False), meaning="the documents", is_required=True),
        **_CUTTING,
        "raw_scores": _RAW,
        "return_text": Field(kind=Flag(), meaning="whether answers hold the documents", default=False),
    },
    example={"query": "a text", "texts": ["a document", "another one"]},
)
"""Of `/rerank`."""
PREDICT = Body(
    fields={
        "inputs": Field(kind=Anything({}), meaning="[a, b] is a pair, [[a], [b, c]] a list", is_required=True),
        **_CUTTING,
        "raw_scores": _RAW,
    },
    example={"inputs": [["a text"], ["a text", "its partner"]], "raw_scores": False},
)
"""Of `/predict`, in TEI's shape."""
_OWN_KEYS = PREDICT.fields.keys() - {"inputs"}


async def _embed(service: Service, request: Request) -> Response:
    async with service.body(request) as body:
        service.check_room(body)
        return await embed(service, parse_json(body, EMBED.refusal))


async def embed(service: Service, content: Any) -> Response:
    """One vector for each text of a body like `EMBED`."""
    asked = EMBED.values(content, service.limits)
    pairs: list[TextPair] = [(text, None) for text in asked["inputs"]]
    await check_cut(service, pairs, may_cut=asked["truncate"], side=asked["truncation_direction"])
    found = await vectors(service, asked["inputs"], dimensions=asked["dimensions"], normalize=asked["normalize"])
    return json_reply(found.tolist())


async def _similarity(service: Service, request: Request) -> Response:
    async with service.body(request) as body:
        service.check_room(body)
        return await similarity(service, parse_json(body, SIMILARITY.refusal))


async def similarity(service: Service, content: Any) -> Response:
    """The cosine of one text with each of the others, of a body like `SIMILARITY`."""
    asked = SIMILARITY.values(content, service.limits)
    texts = [asked["inputs"]["source_sentence"], *asked["inputs"]["sentences"]]
    reading = asked["parameters"] or {}
    pairs: list[TextPair] = [(text, None) for text in texts]
    await check_cut(service, pairs, may_cut=reading.get("truncate"), side=reading.get("truncation_direction"))
    found = await vectors(service, texts)
    return json_reply((found[1:] @ found[0]).tolist())


async def _rerank(service: Service, request: Request) -> Response:
    async with service.body(request) as body:
        service.check_room(body)
        asked = RERANK.parse(body, service.limits)
        _check_size(asked, service.limits)
        inputs = [{"query": asked["query"], "document": text} for text in asked["texts"]]
        pairs = checked_pairs(inputs, service.limits)
        await check_cut(service, pairs, may_cut=asked["truncate"], side=asked["truncation_direction"])
        values = np.array([row[0] for row in await service.rows(pairs)], dtype=np.float64)
    scores = values if asked["raw_scores"] else (1 + np.tanh(values / 2)) / 2  # the logistic function
    ranks = [{"index": int(index), "score": float(scores[index])} for index in np.argsort(-values, kind="stable")]
    if asked["return_text"]:
        ranks = [{**rank, "text": asked["texts"][rank["index"]]} for rank in ranks]
    return json_reply(ranks)


def _check_size(asked: dict[str, Any], limits: ServerLimits) -> None:
    """Refuse a small body of much work: the query is read again with each document."""
    size = len(asked["query"]) * len(asked["texts"]) + sum(map(len, asked["texts"]))
    if size > limits.max_body_bytes:
        raise too_much(
            f"The query, once for each document, and the documents may have at most {limits.max_body_bytes} characters",
            f"they have {size}",
            "Shorten the query, or send fewer documents",
        )


def is_predict(service: Service, content: Any) -> bool:
    """Whether a body of `/predict` is TEI's: its inputs are lists of lists, or it has one of TEI's own keys."""
    if service.pipeline.gives != "labels" or not isinstance(content, dict) or "parameters" in content:
        return False
    inputs = content.get("inputs")
    return bool(_OWN_KEYS & content.keys()) or (isinstance(inputs, list) and isinstance(next(iter(inputs), None), list))


async def predict(service: Service, content: Any) -> Response:
    """Labels with scores: one list of a text or pair, a list of lists of a list of these."""
    asked = PREDICT.values(content, service.limits)
    inputs, is_batch = asked["inputs"], False
    if isinstance(inputs, list):
        is_batch = all(isinstance(item, list) for item in inputs)
        inputs = [_mapping(item) for item in inputs] if is_batch else [_mapping(inputs)]
    pairs = checked_pairs(inputs if isinstance(inputs, list) else [inputs], service.limits)
    await check_cut(service, pairs, may_cut=asked["truncate"], side=asked["truncation_direction"])
    rows = await service.rows(pairs)
    answers = service.pipeline.row_task.answers(pairs, rows, Options(is_raw=asked["raw_scores"]))
    return json_reply(answers if is_batch else answers[0])


def _mapping(texts: list[Any]) -> Any:
    """A text or a pair, in TEI's form."""
    if len(texts) not in (1, 2) or not all(isinstance(text, str) for text in texts):
        raise PREDICT.refusal("an input is no list of one or two texts")
    return texts[0] if len(texts) == 1 else {"text": texts[0], "text_pair": texts[1]}


def _ranks(pipeline: OnnxPipeline) -> bool:
    return pipeline.gives == "relevance"


_NUMBERS = {"type": "array", "items": {"type": "number"}}
ENDPOINTS = (
    Endpoint(
        path="/embed",
        summary="One vector for each text, as Text Embeddings Inference gives it.",
        respond=_embed,
        body=lambda _pipeline: EMBED,
        answer={"type": "array", "items": _NUMBERS},
        needs=NEEDS,
        fits=gives_vectors,
    ),
    Endpoint(
        path="/similarity",
        summary="The cosine of one text with each of the others.",
        respond=_similarity,
        body=lambda _pipeline: SIMILARITY,
        answer=_NUMBERS,
        needs=NEEDS,
        fits=gives_vectors,
    ),
    Endpoint(
        path="/rerank",
        summary="Documents in the order of their scores for a query, the best first.",
        respond=_rerank,
        body=lambda _pipeline: RERANK,
        answer={
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "index": {"type": "integer"},
                    "score": {"type": "number"},
                    "text": {"type": "string"},
                },
            },
        },
        needs="a model that scores documents for a query (task text-ranking)",
        fits=_ranks,
    ),
)
"""In the order of `/openapi.json`."""
