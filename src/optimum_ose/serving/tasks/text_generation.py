"""Continuations of texts, the most probable token after the other."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serving.decoding import Decoder
from optimum_ose.serving.folder import has_file, read_object
from optimum_ose.serving.inputs import text_pairs
from optimum_ose.serving.model import Model
from optimum_ose.serving.padding import run_groups
from optimum_ose.serving.runner import MAX_BATCH_TOKENS, MAX_OUTPUT_VALUES, PAST, Runner
from optimum_ose.serving.served_task import DirectTask, Options, Piece, ServedTask, WriteOptions
from optimum_ose.serving.token_choice import log_softmax
from optimum_ose.serving.written_text import WrittenText

_PRESENT = "present."
_DEFAULT_NEW_TOKENS = 20
_LARGE_VOCABULARY = 2**18
"""Where the file does not say how many logits a token has."""
_SCORED_TEXTS = 8
"""Texts whose logits are in memory at once."""


@final
class Continuer:
    """What goes on with a text, keeping keys and values of what was read."""

    def __init__(self, runner: Runner, decoder: Decoder, *, end_ids: frozenset[int], max_length: int | None) -> None:
        """Keep a tokenizer of its own, which cuts nothing.

        Args:
            runner: on a causal language model's file.
            decoder: of its tokenizer.
            end_ids: tokens after which a text is over.
            max_length: tokens that the model can hold.
        """
        self._runner = runner
        self._decoder = decoder
        self._end_ids = sorted(end_ids)
        self._special_ids = decoder.special_ids
        self._max_length = max_length
        self._tokenizer = Tokenizer.from_str(runner.tokenizer.to_str())
        self._tokenizer.no_truncation()
        inputs = runner.session.get_inputs()
        self._most_tokens = min(MAX_BATCH_TOKENS, MAX_OUTPUT_VALUES // _vocabulary_size(runner))
        self._past = {item.name: (item.shape[1], item.shape[3]) for item in inputs if item.name.startswith(PAST)}

    def continuations(self, texts: Sequence[str], *, max_new_tokens: int, batch_size: int) -> list[str]:
        """What follows each text, without its special tokens.

        Args:
            texts: to go on from.
            max_new_tokens: tokens to add at most; fewer where the model can hold no more.
            batch_size: texts per run.

        Raises:
            InvalidDataError: if a text has no tokens, or more than the model can hold.
        """
        encodings = self._tokenizer.encode_batch(list(texts))
        for encoding in encodings:
            self._check(len(encoding))
        found: dict[int, str] = {}
        for members in run_groups([len(item) for item in encodings], batch_size, self._most_tokens):
            rows = self._continued([encodings[index] for index in members], max_new_tokens)
            found |= {
                index: self._decoder.text(row, skip_special=True) for index, row in zip(members, rows, strict=True)
            }
        return [found[index] for index in range(len(encodings))]

    def log_probabilities(self, texts: list[str], max_length: int | None) -> list[NDArray[np.float32]]:
        """The log-probability of every token of a text but the first, given those before it, shape (tokens - 1,).

        Args:
            texts: as they are.
            max_length: tokens at which they are cut; None: as the model can hold.

        Raises:
            InvalidDataError: if a text has no tokens.
        """
        limit = min((value for value in (max_length, self._max_length) if value is not None), default=None)
        tokenizer = Tokenizer.from_str(self._tokenizer.to_str())
        if limit is not None:
            tokenizer.enable_truncation(limit)
        encodings = tokenizer.encode_batch(texts)
        for encoding in encodings:
            self._check(min(len(encoding), 1))
        found: dict[int, NDArray[np.float32]] = {}
        for members in run_groups([len(item) for item in encodings], _SCORED_TEXTS, self._most_tokens):
            rows = self._told([encodings[index] for index in members])
            found |= dict(zip(members, rows, strict=True))
        return [found[index] for index in range(len(encodings))]

    def _told(self, encodings: list[Encoding]) -> list[NDArray[np.float32]]:
        feeds: dict[str, NDArray[Any]] = dict(self._runner.padding.arrays(encodings))
        logits = self._run(feeds | self._no_past(len(encodings)))["logits"]
        masks = feeds["attention_mask"] == 1
        return [
            _log_probabilities(row[mask], np.array(item.ids))
            for row, mask, item in zip(logits, masks, encodings, strict=True)
        ]

    def _no_past(self, size: int) -> dict[str, NDArray[np.float32]]:
        return {
            name: np.zeros((size, heads, 0, width), dtype=np.float32) for name, (heads, width) in self._past.items()
        }

    def _check(self, num_tokens: int) -> None:
        if num_tokens == 0 or (self._max_length is not None and num_tokens >= self._max_length):
            limit = "any number of" if self._max_length is None else f"fewer than {self._max_length}"
            raise InvalidDataError(
                f"A text to go on from must have at least one token, and {limit} tokens",
                f"one has {num_tokens}",
                "Send another text",
            )

    def pieces(self, text: str, options: WriteOptions) -> Iterator[Piece]:
        """What follows a text, token by token; together the same as `continuations` gives.

        Args:
            text: to go on from.
            options: when it is over.

        Raises:
            InvalidDataError: as `continuations`; if the model gives values that are no numbers.
        """
        encoding = self._tokenizer.encode(text)
        self._check(len(encoding))
        return self._pieces(encoding, options)

    def _pieces(self, encoding: Encoding, options: WriteOptions) -> Iterator[Piece]:
        most = self._room(len(encoding), options.max_new_tokens or _DEFAULT_NEW_TOKENS)
        written = WrittenText(self._decoder, options)
        for count, (tokens, logits) in enumerate(self._steps([encoding]), 1):
            token = int(tokens[0])
            is_end = token in self._end_ids
            new = written.add(token, is_last=is_end or count == most)
            finish: Any = "stop" if written.is_stopped else "end" if is_end else "length" if count == most else None
            yield Piece(
                token_id=token,
                log_probability=_log_probability(logits[0], token),
                text=new,
                is_special=token in self._special_ids,
                finish=finish,
                num_read=len(encoding),
            )
            if finish is not None:
                return

    def _room(self, length: int, max_new_tokens: int) -> int:
        return max_new_tokens if self._max_length is None else min(max_new_tokens, self._max_length - length)

    def _continued(self, encodings: list[Encoding], max_new_tokens: int) -> list[list[int]]:
        """New tokens of each text, the one that ends it included."""
        max_new_tokens = self._room(max(map(len, encodings)), max_new_tokens)
        rows: list[list[int]] = [[] for _ in encodings]
        is_over = np.zeros(len(encodings), dtype=bool)
        for tokens, _ in self._steps(encodings):
            for place in np.flatnonzero(~is_over):
                rows[place].append(int(tokens[place]))
            is_over |= np.isin(tokens, self._end_ids)
            if is_over.all() or max(map(len, rows)) >= max_new_tokens:
                break
        return rows

    def _steps(self, encodings: list[Encoding]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """The most probable next token of each text, and the logits (texts, vocabulary) that it was chosen by; then the
        one after it, without end.
        """
        feeds: dict[str, NDArray[Any]] = dict(self._runner.padding.arrays(encodings, left=True))
        past = self._no_past(len(encodings))
        while True:
            found = self._run(feeds | past)
            logits = found["logits"][:, -1]
            tokens = logits.argmax(-1)
            yield tokens, logits
            past = {name: found[name.replace(PAST, _PRESENT, 1)] for name in past}
            mask = np.concatenate([feeds["attention_mask"], np.ones((len(tokens), 1), dtype=np.int64)], axis=1)
            whole = np.concatenate([feeds["input_ids"], tokens[:, None]], axis=1)
            feeds = {"input_ids": tokens[:, None] if past else whole, "attention_mask": mask}

    def _run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        given = {name: feeds[name] for name in self._runner.input_names}
        return dict(zip(self._runner.output_names, self._runner.session.run(None, given), strict=True))


def _log_probabilities(logits: NDArray[np.float32], ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Of logits (tokens, vocabulary) and the ids of a text."""
    known = logits[:-1] - logits[:-1].max(axis=1, keepdims=True)
    told = known[np.arange(len(known)), ids[1:]] - np.log(np.exp(known).sum(axis=1))
    return np.asarray(told, dtype=np.float32)


def _log_probability(logits: NDArray[np.float32], token: int) -> float:
    """Of one token by logits (vocabulary,)."""
    if not np.isfinite(logits).all():
        raise InvalidDataError(
            "The model must be able to go on with a text", "it gives values that are no numbers", "Send another text"
        )
    return float(log_softmax(logits)[token])


def _vocabulary_size(runner: Runner) -> int:
    """Logits of each token."""
    (size,) = (item.shape[-1] for item in runner.session.get_outputs() if item.name == "logits")
    return size if isinstance(size, int) and size > 0 else _LARGE_VOCABULARY


def _answer(continuer: Continuer, inputs: object, options: Options) -> Any:
    texts = [text for text, _ in text_pairs(inputs)]
    count = _DEFAULT_NEW_TOKENS if options.max_new_tokens is None else options.max_new_tokens
    found = continuer.continuations(texts, max_new_tokens=count, batch_size=options.batch_size)
    answers = [[{"generated_text": text + more}] for text, more in zip(texts, found, strict=True)]
    return answers if isinstance(inputs, list) else answers[0]


def _end_ids(model: Model) -> frozenset[int]:
    name = "generation_config.json"
    generation = read_object(model.folder, name) if has_file(model.folder, name) else {}
    ids = generation.get("eos_token_id", model.config.get("eos_token_id"))
    return frozenset(item for item in (ids if isinstance(ids, list) else [ids]) if isinstance(item, int))


def _load(model: Model) -> DirectTask:
    continuer = Continuer(model.runner, model.decoder, end_ids=_end_ids(model), max_length=model.max_length)
    return DirectTask(
        answer=partial(_answer, continuer),
        log_probabilities=continuer.log_probabilities,
        write=continuer.pieces,
        refusal="takes several",
        trial="A",
    )


SERVED = ServedTask(load=_load, heads=("ForCausalLM", "LMHeadModel"))
"""Continuations of texts."""
