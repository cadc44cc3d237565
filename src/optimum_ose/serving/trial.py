"""The first runs of a file: what it can take is tried at load, so that no request has to find it out."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.serving.runner import PAST, RUN_ERRORS, Runner, reason
from optimum_ose.serving.served_task import ServedTask

_LONGEST_TRIED = 2048
"""Tokens of the longest trial: attention over more takes seconds and gigabytes."""


@final
class Trial:
    """Runs of one session on token ids of its own choice."""

    def __init__(self, runner: Runner, *, file: str) -> None:
        """Run nothing yet.

        Args:
            runner: session and tokenizer; the tokenizer cuts nothing yet.
            file: name of the ONNX file, for messages.
        """
        self._runner = runner
        self._file = file
        self._special: list[int] = runner.tokenizer.encode("").ids
        pad = runner.padding.pad_id
        self._plain = 0 if pad else 1
        """A token that is not padding, which some models give no position."""

    def check(self, task: ServedTask, name: str, config: Mapping[str, Any]) -> None:
        """Refuse a file that computes nothing, or something else than its folder says.

        Raises:
            InvalidConfigError: if it fails on a short text, has no row for a token of the tokenizer, or gives another
                output than the task and the class names in `config.json` need.
        """
        tokenizer, short = self._runner.tokenizer, self._ids(len(self._special) + 1)
        output = self._output(short)
        if isinstance(output, str):
            raise InvalidConfigError(f"{self._file} must compute a short text", f"it fails: {output}", _EXPORT)
        largest = max(tokenizer.get_vocab().values(), default=0)
        for token in (largest, self._runner.padding.pad_id):
            if isinstance(self._output([*short, token]), str):
                raise InvalidConfigError(
                    f"{self._file} must have an embedding for each token of tokenizer.json",
                    f"it has none for token {token}, {tokenizer.id_to_token(token)!r}",
                    "Give the folder the tokenizer of its model, or resize the model's embeddings and export it again",
                )
        check_output(output, task, name, config, file=self._file)

    def length(self, stated: int | None) -> int | None:
        """Tokens that the file can take at once.

        Args:
            stated: the limit by the folder's files; None if they tell none.

        Returns:
            The largest number that works, at most `stated`. A number beyond 2048 is believed, not tried; None if
            nothing limits it.
        """
        if stated is not None and (stated > _LONGEST_TRIED or self._works(stated)):
            return stated
        works, fails = 0, stated or 512
        while stated is None and self._works(fails):
            works, fails = fails, 2 * fails
            if works >= _LONGEST_TRIED:
                return None
        while fails - works > 1:
            middle = (works + fails) // 2
            works, fails = (middle, fails) if self._works(middle) else (works, middle)
        return max(works, 1)

    def _works(self, length: int) -> bool:
        return not isinstance(self._output(self._ids(length)), str)

    def _ids(self, length: int) -> list[int]:
        """So many tokens, the special ones of every text around them."""
        special = self._special[:length]
        middle = len(special) // 2
        return special[:middle] + [self._plain] * (length - len(special)) + special[middle:]

    def _output(self, ids: list[int]) -> NDArray[np.float32] | str:
        """What the file gives for one text of these tokens, or why it gives nothing."""
        row = np.array([ids], dtype=np.int64)
        feeds: dict[str, NDArray[Any]] = {
            "input_ids": row,
            "attention_mask": np.ones_like(row),
            "token_type_ids": np.zeros_like(row),
        }
        for item in self._runner.session.get_inputs():
            if item.name.startswith(PAST):
                feeds[item.name] = np.zeros((1, item.shape[1], 0, item.shape[3]), dtype=np.float32)
        try:
            return self._runner.run({name: feeds[name] for name in self._runner.input_names})
        except RUN_ERRORS as error:
            return reason(error)


def check_output(
    output: NDArray[np.float32], task: ServedTask, name: str, config: Mapping[str, Any], *, file: str
) -> None:
    """Refuse an output that is not what the task and `config.json` need.

    Args:
        output: of a trial.
        task: what the model does.
        name: of the task.
        config: names the classes.
        file: name of the ONNX file, for messages.

    Raises:
        InvalidConfigError: naming the file.
    """
    actual = None
    names = config.get("id2label")
    if output.ndim != task.num_axes:
        actual = f"its output for {name} has {output.ndim} axes"
    elif task.names_classes and names and len(names) != output.shape[-1]:
        actual = f"it gives {output.shape[-1]} values, and id2label names {len(names)} classes"
    elif not np.isfinite(output).all():
        actual = "it gives values that are no numbers"
    if actual:
        raise InvalidConfigError(f"{file} must hold the model that config.json describes", actual, _EXPORT)


_EXPORT = "Export the model again"
