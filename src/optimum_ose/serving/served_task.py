"""What serving must know of a task: the record `ServedTask`, and the two forms of a task whose model is loaded."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from optimum_ose.serving.inputs import Aggregation, TextPair

Rows = list[NDArray[np.float32]]
"""What the model gives for each text, without padding: see `Runner.rows`."""
Outputs = tuple[tuple[str, str, list[int]], ...]
"""Name, datatype and shape of each output tensor in the Open Inference Protocol; -1 stands for any size."""
ANSWERS: Outputs = (("answer", "BYTES", [-1]),)
"""Of tasks without a fixed form: each text's answer as JSON."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a call of `OnnxPipeline` asks for."""

    top_k: int | None = None
    """Labels, words or spans; None: as many as the task gives by itself."""
    is_best: bool = False
    """Whether one answer is wanted, in the flat form that transformers gives when `top_k` is not named."""
    is_raw: bool = False
    """Whether scores of classes are the model's own numbers."""
    aggregation_strategy: Aggregation = "simple"
    """How tokens are joined to entities."""
    max_new_tokens: int | None = None
    """Of tasks that write; None: as many as the task gives by itself."""
    num_beams: int | None = None
    """Of tasks that read one text and write another: beginnings that are kept; None: as the folder says."""
    batch_size: int = 32
    """Texts per run of the model."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """How a text is gone on with."""

    max_new_tokens: int | None = None
    """Tokens at most; None: as many as the task gives by itself."""
    stops: tuple[str, ...] = ()
    """Texts after which it is over."""
    keeps_stop: bool = False
    """Whether such a text belongs to the answer."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one token adds to a text."""

    token_id: int
    """Of the token."""
    log_probability: float
    """Of the token, given those before it."""
    text: str
    """That is certain since this token; empty where the next one may still change it."""
    is_special: bool
    """Whether the token stands for no text."""
    finish: Literal["end", "stop", "length"] | None
    """Why this is the last piece: an end token, one of `stops`, or the number of tokens; None: more come."""
    num_read: int
    """Tokens of the text that is gone on with."""


Gives = Literal["labels", "relevance", "vectors", "transcript"]
"""Labels of each text, a number for each query with a document, a vector for each text, the text of each sound."""


class Answers(Protocol):
    """Makes the answer to each text of its row."""

    def __call__(self, pairs: list[TextPair], rows: Rows, options: Options) -> list[Any]:
        """The answers, in the order of the texts."""


def _no_values(pairs: list[TextPair], rows: Rows, top_k: int | None) -> int:
    return 0


def _listed(answers: list[Any], inputs: object, options: Options) -> Any:
    return answers if isinstance(inputs, list) else answers[0]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RowTask:
    """A task of a loaded model that answers each text by one run: a server can batch it."""

    answers: Answers
    """Makes answers of rows."""
    outputs: Outputs = ANSWERS
    """In the Open Inference Protocol."""
    tensors: Callable[[Rows], Mapping[str, NDArray[Any]]] | None = None
    """Makes these outputs of rows; None: answers as JSON."""
    reads_texts_again: bool = False
    """Whether `check` or `answers` tokenize the texts again."""
    may_be_empty: bool = False
    """Whether a text without tokens, where the tokenizer adds none, needs an answer: it is refused."""
    check: Callable[[Encoding], None] | None = None
    """Refuses a text that the model has nothing to say to."""
    keep: Callable[[Encoding, NDArray[np.float32]], NDArray[np.float32]] | None = None
    """What is kept of a text's row; None: all."""
    answer_values: Callable[[list[TextPair], Rows, int | None], int] = _no_values
    """About how many numbers answers hold, where a model's limits do not keep them few; given texts, rows, `top_k`."""
    parts: Callable[[list[Any]], list[list[TextPair]]] | None = None
    """The texts of each input, where one has several, each of which gets a row; None: an input is a text or a pair."""
    joined: Callable[[Any, list[Any]], Any] | None = None
    """The answer to such an input (first), made of those to its texts."""
    formed: Callable[[list[Any], object, Options], Any] = _listed
    """Answers in the form in which transformers gives them; given the inputs as they came."""
    trial_text: str = "trial"
    """A text that the model can answer."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DirectTask:
    """A task of a loaded model that answers inputs by itself: a server cannot batch it."""

    answer: Callable[[Any, Options], Any]
    """Answers inputs as `OnnxPipeline` gets them."""
    log_probabilities: Callable[[list[str], int | None], list[NDArray[np.float32]]] | None = None
    """Of each text, cut at a number of tokens, the log-probability of all tokens but the first; None: it tells none."""
    refusal: str
    """What the task does instead of answering a text by one run."""
    trial: Any
    """An input that the model can answer."""
    takes_files: bool = False
    """Whether inputs are files, which a client sends as they are or in base64."""
    letters: str = ""
    """Of tasks that write character by character: what they can write."""
    write: Callable[[str, WriteOptions], Iterator[Piece]] | None = None
    """Goes on with a text piece by piece, at least one; what it refuses, it refuses before that is iterated. None: the
    task writes nothing, or all at once."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ServedTask:
    """What one file of `optimum_ose.serving.tasks` tells."""

    load: Callable[[Any], RowTask | DirectTask]
    """The task of a loaded model: of a `Model`, an `ImageModel`, a `SoundModel` or a `SequenceModel`."""
    reads: Literal["texts", "images", "sounds", "sources"] = "texts"
    """What inputs are; sources are texts of which others are written."""
    heads: tuple[str, ...] = ()
    """Endings of the class names, in `config.json`, of models that do it."""
    is_marked: bool = False
    """Whether `served_task` in `config.json` must name it, because other tasks have the same heads."""
    output: str | None = None
    """Name of an output of the ONNX file by which it is told from others; None: its head tells."""
    num_axes: int = 3
    """Axes of the output: 2 where a text has one row, 3 where each of its tokens has."""
    is_on_cards: bool = False
    """Whether model cards show how to ask `OnnxPipeline`, the server and transformers.js."""
    example: object = None
    """An input for model cards; None: a text or a pair of texts."""
    is_in_transformers: bool = True
    """Whether the newest Transformers has a pipeline of this name."""
    is_in_javascript: bool = True
    """Whether transformers.js has one."""
    python: str | None = None
    """How model cards ask the model in Python, where that takes more than a pipeline and an example; `{model}` and
    `{example}` are put in.
    """
    names_classes: bool = False
    """Whether `id2label` must name each value of the output."""
    gives: Gives | None = None
    """What endpoints of other servers ask a model for; None: nothing that they know."""
