"""Continuations of texts for the endpoints of generation, piece by piece."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import final

from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.serving.served_task import Piece, WriteOptions
from optimum_ose.serving.service import Service

NEEDS = "a model that goes on with a text (task text-generation)"
"""What endpoints of generation ask of a folder."""
Pieces = AsyncGenerator[tuple[int, Piece], None]
"""Each with the index of its text."""


@final
@dataclass(frozen=True, slots=True)
class Continuation:
    """What follows one text."""

    pieces: list[Piece] = field(default_factory=list)
    """In order."""

    @property
    def text(self) -> str:
        """Of all pieces."""
        return "".join(piece.text for piece in self.pieces)


def writes(pipeline: OnnxPipeline) -> bool:
    """Whether a model goes on with texts piece by piece."""
    return pipeline.direct_task is not None and pipeline.direct_task.write is not None


def pieces(service: Service, texts: list[str], options: WriteOptions) -> Pieces:
    """What follows each text, one text after the other: each is read alone, so that none depends on another.

    Raises:
        RequestError: as `Service.stream`.
    """
    return service.stream(partial(_pieces, service.pipeline, texts, options))


async def continuations(service: Service, texts: list[str], options: WriteOptions) -> list[Continuation]:
    """The same as a whole.

    Raises:
        RequestError: as `Service.stream`.
    """
    found = [Continuation() for _ in texts]
    async with aclosing(pieces(service, texts, options)) as stream:
        async for index, piece in stream:
            found[index].pieces.append(piece)
    return found


def _pieces(pipeline: OnnxPipeline, texts: list[str], options: WriteOptions) -> Iterator[tuple[int, Piece]]:
    task = pipeline.direct_task
    if task is None or task.write is None:
        return
    written = [task.write(text, options) for text in texts]  # refuses, before the first piece
    for index, continuation in enumerate(written):
        for piece in continuation:
            yield index, piece
