"""Kinds of values in a body of JSON: each checks a value, and describes itself in JSON schema."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, final

from optimum_ose.serving.checked_inputs import check_length, check_number
from optimum_ose.serving.protocol import ServerLimits, too_much
from optimum_ose.wording import listed, shown

Schema = dict[str, Any]
"""A JSON schema."""


class WrongValueError(Exception):
    """A value is not of its kind; the message says what is wrong."""


class Kind(Protocol):
    """What a value must be."""

    def read(self, name: str, value: Any, limits: ServerLimits) -> Any:
        """The value as handlers take it.

        Raises:
            WrongValueError: if it is of another kind.
            RequestError: 422 if it is too much.
        """

    def schema(self, limits: ServerLimits) -> Schema:
        """The same in JSON schema."""


@final
@dataclass(frozen=True, slots=True)
class Text:
    """A text."""

    longest: int | None = None
    """Characters at most; None: as many as the server takes."""
    may_be_empty: bool = True
    """Whether it may have no characters."""

    def read(self, name: str, value: Any, limits: ServerLimits) -> str:
        """It, if it is one that UTF-8 can hold."""
        if not isinstance(value, str):
            raise WrongValueError(f"{name} is no text")
        if self.longest is not None and len(value) > self.longest:
            raise too_much(f"{name} may have at most {self.longest} characters", f"it has {len(value)}", "Cut it")
        if not value and not self.may_be_empty:
            raise WrongValueError(f"{name} is empty")
        check_length(len(value), limits)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise WrongValueError(f"{name} has half of a surrogate pair, which no text holds") from error
        return value

    def schema(self, limits: ServerLimits) -> Schema:
        """A string."""
        most = limits.max_text_characters if self.longest is None else self.longest
        return {"type": "string", "maxLength": most} | ({} if self.may_be_empty else {"minLength": 1})


@final
@dataclass(frozen=True, slots=True)
class Texts:
    """A text or a list of at least one; read as a list."""

    most: int | None = None
    """Texts at most; None: as many as the server takes."""
    longest: int | None = None
    """Characters of a text at most; None: as many as the server takes."""
    takes_one: bool = True
    """Whether a text alone is allowed."""
    may_be_empty: bool = True
    """Whether a text may have no characters."""

    def read(self, name: str, value: Any, limits: ServerLimits) -> list[str]:
        """A list of texts."""
        items = [value] if isinstance(value, str) and self.takes_one else value
        if not isinstance(items, list) or not items:
            raise WrongValueError(f"{name} is no {'text or ' if self.takes_one else ''}list of texts")
        if self.most is not None and len(items) > self.most:
            raise too_much(f"{name} may hold at most {self.most} texts", f"it holds {len(items)}", "Send fewer")
        check_number(len(items), limits)
        if all(isinstance(item, int | list) for item in items):
            raise WrongValueError(
                f"{name} holds token ids, which mean other words to this model; with LangChain's OpenAIEmbeddings "
                "set check_embedding_ctx_length=False"
            )
        return [self._text.read(f"an item of {name}", item, limits) for item in items]

    def schema(self, limits: ServerLimits) -> Schema:
        """A string or an array of strings."""
        most = limits.max_texts if self.most is None else self.most
        text = self._text.schema(limits)
        array = {"type": "array", "items": text, "minItems": 1, "maxItems": most}
        return {"anyOf": [text, array]} if self.takes_one else array

    @property
    def _text(self) -> Text:
        return Text(self.longest, self.may_be_empty)


@final
@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number."""

    least: int = 1
    most: int | None = None

    def read(self, name: str, value: Any, limits: ServerLimits) -> int:
        """It, if it is in range."""
        if not isinstance(value, int) or isinstance(value, bool) or value < self.least:
            raise WrongValueError(f"{name} is no {'positive ' if self.least == 1 else ''}whole number")
        if self.most is not None and value > self.most:
            raise too_much(f"{name} may be at most {self.most}", "more was asked for", "Ask for fewer")
        return value

    def schema(self, limits: ServerLimits) -> Schema:
        """An integer."""
        return {"type": "integer", "minimum": self.least} | ({} if self.most is None else {"maximum": self.most})


@final
@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def read(self, name: str, value: Any, limits: ServerLimits) -> bool:
        """It."""
        if not isinstance(value, bool):
            raise WrongValueError(f"{name} is neither true nor false")
        return value

    def schema(self, limits: ServerLimits) -> Schema:
        """A boolean."""
        return {"type": "boolean"}


@final
@dataclass(frozen=True, slots=True)
class Choice:
    """One of several words."""

    words: tuple[str, ...]

    def read(self, name: str, value: Any, limits: ServerLimits) -> str:
        """It."""
        if not isinstance(value, str) or value not in self.words:
            raise WrongValueError(f"{name} is none of {', '.join(self.words)}")
        return value

    def schema(self, limits: ServerLimits) -> Schema:
        """An enumeration."""
        return {"type": "string", "enum": list(self.words)}


@final
@dataclass(frozen=True, slots=True)
class Only:
    """What other servers do and this one does not: a value that changes nothing is taken, others are refused."""

    values: tuple[Any, ...] = ()
    """Taken; none: it must not be sent."""
    because: str = "this server does not do that"

    def read(self, name: str, value: Any, limits: ServerLimits) -> Any:
        """It, if it changes nothing."""
        if any(type(value) is type(known) and value == known for known in self.values):
            return value
        told = f"may only be {listed(map(json.dumps, self.values))}" if self.values else "must be left out"
        raise WrongValueError(f"{name} is {shown(value, limit=40)}; it {told}: {self.because}")

    def schema(self, limits: ServerLimits) -> Schema:
        """An enumeration."""
        return {"enum": [*self.values, None]}


@final
@dataclass(frozen=True, slots=True)
class Anything:
    """What the task of the folder checks by itself."""

    described: Mapping[str, Any]
    """In JSON schema."""

    def read(self, name: str, value: Any, limits: ServerLimits) -> Any:
        """It, unchecked."""
        return value

    def schema(self, limits: ServerLimits) -> Schema:
        """As it is described."""
        return dict(self.described)
