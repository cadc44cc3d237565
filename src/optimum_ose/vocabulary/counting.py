"""Counts the tokens of a corpus, on all cores, in memory that does not grow with the corpus."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.processes import num_usable_cores
from optimum_ose.progress import Listener, working

_SAMPLED_CHARACTERS = 2_000
"""Of a sampled text; what is longer is cut."""
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was counted in a corpus."""

    counts: NDArray[np.int64]
    """How often each id occurs; special tokens that are put around texts are not counted."""
    num_texts: int
    """Texts that are not blank."""
    sample: tuple[str, ...]
    """Some of the texts, drawn with the same chance each."""

    @property
    def num_tokens(self) -> int:
        """Tokens in all texts."""
        return int(self.counts.sum())


def count_tokens(
    backend: Tokenizer,
    chunks: Iterable[Sequence[str]],
    *,
    num_ids: int,
    sample_size: int = 0,
    seed: int = 0,
    workers: int | None = None,
    listener: Listener,
) -> Counts:
    """How often each token occurs in texts.

    Args:
        backend: a fast tokenizer; its padding and truncation are switched off.
        chunks: texts, some at a time.
        num_ids: one more than the largest id.
        sample_size: texts to draw.
        seed: of the draw.
        workers: threads; None: one per core. The library tokenizers works outside of Python's lock.
        listener: hears of the progress.

    Raises:
        InvalidDataError: if there is no token.
    """
    backend.no_padding()
    backend.no_truncation()
    counts = np.zeros(num_ids, dtype=np.int64)
    sampler = _Sampler(sample_size, seed)
    num_texts = 0

    def count(texts: Sequence[str]) -> NDArray[np.int64]:
        return np.bincount(_ids(backend, texts), minlength=num_ids)

    def sampled() -> Iterator[Sequence[str]]:
        for texts in chunks:
            sampler.see(texts)
            yield texts

    with working(listener, "counting tokens", None):
        for texts, found in in_threads(count, sampled(), workers=workers):
            counts += found
            num_texts += len(texts)
            listener.advance(num_texts, f"{int(counts.sum()):,} tokens")
    if not counts.any():
        raise InvalidDataError(
            "A corpus must hold text with tokens",
            f"there are none in its {num_texts:,} texts that are not blank",
            "Give files with text",
        )
    return Counts(counts=counts, num_texts=num_texts, sample=tuple(sampler.kept))


def in_threads(
    function: Callable[[_Given], _Made], items: Iterable[_Given], *, workers: int | None = None
) -> Iterator[tuple[_Given, _Made]]:
    """Each item with what a function makes of it, in order; a few items at a time are read ahead.

    Args:
        function: is called in threads.
        items: read as they are needed.
        workers: threads; None: one per core.
    """
    number = workers or num_usable_cores()
    waiting: deque[tuple[_Given, Future[_Made]]] = deque()
    with ThreadPoolExecutor(number) as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(function, item)))
                if len(waiting) > 2 * number:
                    given, made = waiting.popleft()
                    yield given, made.result()
            while waiting:
                given, made = waiting.popleft()
                yield given, made.result()
        finally:
            pool.shutdown(cancel_futures=True)


def encode_plainly(backend: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The ids of texts, without the special tokens that are put around them."""
    encode = getattr(backend, "encode_batch_fast", backend.encode_batch)  # without offsets; since tokenizers 0.20.1
    return [item.ids for item in encode(list(texts), add_special_tokens=False)]


def _ids(backend: Tokenizer, texts: Sequence[str]) -> NDArray[np.int64]:
    return np.fromiter(itertools.chain.from_iterable(encode_plainly(backend, texts)), dtype=np.int64)


class _Sampler:
    """Draws some of the texts that pass, each with the same chance (reservoir sampling, Vitter 1985, algorithm R)."""

    def __init__(self, size: int, seed: int) -> None:
        self.kept: list[str] = []
        self._size = size
        self._seen = 0
        self._generator = np.random.default_rng(seed)

    def see(self, texts: Sequence[str]) -> None:
        """Texts pass."""
        begun = texts[: max(0, self._size - len(self.kept))]
        self.kept += [text[:_SAMPLED_CHARACTERS] for text in begun]
        rest = texts[len(begun) :]
        first = self._seen + len(begun)
        places = self._generator.integers(0, np.arange(first + 1, first + len(rest) + 1))
        for text, place in zip(rest, places.tolist(), strict=True):
            if place < self._size:
                self.kept[place] = text[:_SAMPLED_CHARACTERS]
        self._seen += len(texts)
