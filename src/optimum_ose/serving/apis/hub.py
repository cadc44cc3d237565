"""The endpoints in the shape of the Hub's inference API: `/predict`, and `/` as its clients ask a served model."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from optimum_ose.serving.apis import embeddings_inference, generation_inference
from optimum_ose.serving.direct import DIRECT, parse_direct
from optimum_ose.serving.endpoint import Endpoint
from optimum_ose.serving.fields import Body
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.serving.predict_request import PREDICT, parse_request
from optimum_ose.serving.protocol import parse_json
from optimum_ose.serving.replies import json_reply
from optimum_ose.serving.served_task import DirectTask
from optimum_ose.serving.service import Service
from optimum_ose.serving.tasks import served_tasks
from optimum_ose.serving.vectors import gives_vectors


async def predict(service: Service, request: Request) -> Response:
    """What the task gives for each input."""
    return await _answered(service, request, as_hub=False)


async def root(service: Service, request: Request) -> Response:
    """The same where a client of the Hub knows the server's address alone: a lone input has a lone answer, vectors and
    continuations come as Text Embeddings Inference and Text Generation Inference give them.
    """
    return await _answered(service, request, as_hub=True)


async def _answered(service: Service, request: Request, *, as_hub: bool) -> Response:
    async with service.body(request) as body:
        service.check_room(body)
        pipeline = service.pipeline
        task = pipeline.direct_task
        if as_hub and gives_vectors(pipeline):
            return await _vectors(service, parse_json(body))
        if as_hub and task is not None and task.write is not None:
            return await generation_inference.root(service, parse_json(body))
        if task is not None:
            return await _direct(service, body, task, request.headers.get("content-type", ""))
        content = parse_json(body)
        if embeddings_inference.is_predict(service, content):
            return await embeddings_inference.predict(service, content)
        # of a lone text to classify, the Hub too gives a list of one list
        return await _rows(service, content, as_hub=as_hub and pipeline.gives != "labels")


async def _direct(service: Service, body: bytes, task: DirectTask, content_type: str) -> Response:
    direct = parse_direct(body, task, service.limits, content_type=content_type)
    return json_reply(await service.direct(partial(service.pipeline, direct.inputs, **direct.parameters)))


async def _rows(service: Service, content: Any, *, as_hub: bool) -> Response:
    pipeline = service.pipeline
    asked = parse_request(content, service.limits, pipeline.parts)
    pairs = asked.pairs
    rows = await service.rows(pairs, asked.top_k)
    answer = partial(pipeline.answers, pairs, rows, top_k=asked.top_k)
    found = await service.computed(partial(answer, aggregation_strategy=asked.aggregation_strategy))
    answers = pipeline.joined(asked.inputs, asked.parts, found)
    return json_reply(answers[0] if as_hub and not asked.is_list else answers)


async def _vectors(service: Service, content: Any) -> Response:
    asks_pairs = isinstance(content, Mapping) and isinstance(content.get("inputs"), Mapping)
    answer = embeddings_inference.similarity if asks_pairs else embeddings_inference.embed
    return await answer(service, content)


def _body(pipeline: OnnxPipeline) -> Body:
    task = pipeline.direct_task
    if task is None:
        example = served_tasks()[pipeline.task].example
        return replace(PREDICT, example={"inputs": pipeline.trial_text if example is None else example})
    return replace(DIRECT, example={} if task.takes_files else {"inputs": task.trial})


def _root_body(pipeline: OnnxPipeline) -> Body:
    if gives_vectors(pipeline):
        return embeddings_inference.EMBED
    task = pipeline.direct_task
    return _body(pipeline) if task is None or task.write is None else generation_inference.GENERATE


def _other_body(pipeline: OnnxPipeline) -> Body | None:
    return embeddings_inference.PREDICT if pipeline.gives == "labels" else None


def _other_root_body(pipeline: OnnxPipeline) -> Body | None:
    return embeddings_inference.SIMILARITY if gives_vectors(pipeline) else _other_body(pipeline)


def _takes_files(pipeline: OnnxPipeline) -> bool:
    return pipeline.direct_task is not None and pipeline.direct_task.takes_files


ENDPOINTS = (
    Endpoint(
        path="/predict",
        summary="What the task gives for each input.",
        respond=predict,
        body=_body,
        other_body=_other_body,
        takes_files=_takes_files,
    ),
    Endpoint(
        path="/",
        summary="What huggingface_hub's InferenceClient(base_url=...) asks for; a lone input has a lone answer.",
        respond=root,
        body=_root_body,
        other_body=_other_root_body,
        takes_files=_takes_files,
    ),
)
"""In the order of `/openapi.json`."""
