"""One vector for each text of a request: computed in batches, cut, normalized."""

import asyncio
from functools import partial
from http import HTTPStatus

import numpy as np
from numpy.typing import NDArray

from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.serving.protocol import RequestError
from optimum_ose.serving.service import Service

NEEDS = "a model that gives one vector for each text, exported with pooling (task sentence-similarity)"
"""What endpoints of vectors ask of a folder."""


def gives_vectors(pipeline: OnnxPipeline) -> bool:
    """Whether a model gives one vector for each text."""
    return pipeline.gives == "vectors"


async def vectors(
    service: Service, texts: list[str], *, dimensions: int | None = None, normalize: bool = True
) -> NDArray[np.float32]:
    """The vectors of texts, float32 of shape (texts, width).

    Args:
        service: whose model gives them.
        texts: at least one.
        dimensions: numbers of each that are kept, the first ones; None: all.
        normalize: whether they get length 1, after they are cut. A vector of zeros stays as it is.

    Raises:
        RequestError: 400 if there are fewer dimensions; as `Service.rows`.
    """
    pairs: list[TextPair] = [(text, None) for text in texts]
    found = np.stack(await service.rows(pairs))
    if dimensions is not None and dimensions > found.shape[1]:
        raise RequestError(
            HTTPStatus.BAD_REQUEST,
            expected=f"dimensions may be at most {found.shape[1]}, the width of the model's vectors",
            actual="more were asked for",
            remedy="Ask for fewer, or leave it out",
        )
    found = found[:, :dimensions]
    if not normalize:
        return found
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.where(lengths > 0, lengths, 1), dtype=np.float32)


async def num_tokens(service: Service, texts: list[str]) -> int:
    """Tokens that the model read of texts, special ones included."""
    encodings = await asyncio.to_thread(service.pipeline.encodings, [(text, None) for text in texts])
    return sum(map(len, encodings))


async def check_cut(service: Service, pairs: list[TextPair], *, may_cut: bool | None, side: str | None) -> None:
    """Refuse what a client asks about texts that are too long, where the folder does otherwise.

    Args:
        service: whose model reads them.
        pairs: the texts.
        may_cut: whether they may be cut; None: as the server does, which cuts.
        side: `left` or `right`, in any case: where they are cut; None: as the folder says.

    Raises:
        RequestError: 400 if the folder cuts at another side, 422 if a text would have to be cut and must not.
    """
    own = service.pipeline.truncation_side
    if side is not None and own is not None and side.lower() != own:
        raise RequestError(
            HTTPStatus.BAD_REQUEST,
            expected=f"truncation_direction must be {own}, as tokenizer_config.json of this folder says",
            actual=f"it is {side}",
            remedy="Leave it out",
        )
    if may_cut is not False:
        return
    encodings = await asyncio.to_thread(partial(service.pipeline.encodings, pairs))
    if any(encoding.overflowing for encoding in encodings):
        raise RequestError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            expected="A text must fit into the length that the model reads if truncate is false",
            actual=f"one has more than {max(map(len, encodings))} tokens",
            remedy="Cut it, or send truncate: true",
        )
