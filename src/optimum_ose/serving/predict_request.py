"""Requests for predictions in the shape of the Hub's inference API."""

from dataclasses import dataclass
from typing import Any, final

from optimum_ose.serving.checked_inputs import Parts, checked_parts, single_texts
from optimum_ose.serving.fields import Body, Field
from optimum_ose.serving.inputs import AGGREGATIONS, Aggregation, TextPair
from optimum_ose.serving.kinds import Anything, Choice, Whole
from optimum_ose.serving.protocol import ServerLimits

_INPUT = {
    "anyOf": [
        {"type": "string"},
        {"type": "object", "description": "a pair: text and text_pair, or query and document"},
        {"type": "array", "items": {"type": ["string", "object"]}},
    ]
}
PREDICT = Body(
    fields={
        "inputs": Field(kind=Anything(_INPUT), meaning="a text, a pair of texts, or a list of these", is_required=True),
        "parameters": Field(
            kind=Body(
                fields={
                    "top_k": Field(kind=Whole(), meaning="labels or words for each text"),
                    "aggregation_strategy": Field(
                        kind=Choice(AGGREGATIONS), meaning="how tokens become entities", default="simple"
                    ),
                }
            ),
            meaning="how to answer",
        ),
    },
    example={"inputs": "a text", "parameters": {"top_k": 1}},
    allows_others=True,
)
"""Of tasks that answer each text by one run."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PredictRequest:
    """A parsed request for predictions."""

    inputs: list[Any]
    """As they came, in a list."""
    is_list: bool
    """Whether they came in one."""
    parts: list[list[TextPair]]
    """The texts of each input."""
    top_k: int | None
    """Labels or words per text; None: as many as the task gives by itself."""
    aggregation_strategy: Aggregation
    """How tokens are joined to entities."""

    @property
    def pairs(self) -> list[TextPair]:
        """The texts of all inputs."""
        return [pair for of_input in self.parts for pair in of_input]


def parse_request(content: Any, limits: ServerLimits, parts_of: Parts = single_texts) -> PredictRequest:
    """A body `{"inputs": ..., "parameters": {"top_k": ..., "aggregation_strategy": ...}}`.

    Args:
        content: the parsed JSON.
        limits: for the texts.
        parts_of: the texts of each input.

    Raises:
        RequestError: 400 on wrong types, 422 on too many or too long texts.
    """
    values = PREDICT.values(content, limits)
    parameters = values["parameters"] or {}
    came = values["inputs"]
    inputs = came if isinstance(came, list) else [came]
    return PredictRequest(
        inputs=inputs,
        is_list=isinstance(came, list),
        parts=checked_parts(inputs, limits, parts_of),
        top_k=parameters.get("top_k"),
        aggregation_strategy=parameters.get("aggregation_strategy", "simple"),
    )
