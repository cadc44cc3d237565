"""The record of an endpoint: what it takes, whom it fits, and what answers it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, final

from starlette.requests import Request
from starlette.responses import Response

from optimum_ose.serving.fields import Body
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.serving.protocol import RequestError
from optimum_ose.serving.service import Service


def _always(_pipeline: OnnxPipeline) -> bool:
    return True


def _nothing(_pipeline: OnnxPipeline) -> None:
    return None


def _never(_pipeline: OnnxPipeline) -> bool:
    return False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One path of the server."""

    path: str
    """With names of its variable parts in braces."""
    method: Literal["GET", "POST"] = "POST"
    """By which it is asked."""
    summary: str
    """What it does, in one sentence."""
    respond: Callable[[Service, Request], Awaitable[Response]]
    """Answers a request."""
    body: Callable[[OnnxPipeline], Body] | None = None
    """What a request holds; None: nothing."""
    other_body: Callable[[OnnxPipeline], Body | None] = _nothing
    """Another shape that it may have; None: there is none."""
    form: Body | None = None
    """What a form holds beside its file; None: no form is taken."""
    takes_files: Callable[[OnnxPipeline], bool] = _never
    """Whether the body may be a file as it is, or a form with files."""
    answer: Mapping[str, Any] = field(default_factory=dict)
    """JSON schema of the answer."""
    streams: bool = False
    """Whether the answer may come as server-sent events."""
    needs: str = ""
    """What it asks of the model, in words."""
    fits: Callable[[OnnxPipeline], bool] = _always
    """Whether a model can answer it."""

    def for_model(self, pipeline: OnnxPipeline) -> Callable[[Service, Request], Awaitable[Response]]:
        """What answers its requests, or refuses them all."""
        return self.respond if self.fits(pipeline) else self._refuse

    async def _refuse(self, service: Service, _request: Request) -> Response:
        raise RequestError(
            HTTPStatus.NOT_FOUND,
            expected=f"{self.path} needs {self.needs}",
            actual=f"this folder serves {service.pipeline.task}",
            remedy="GET /openapi.json lists what it answers",
        )
