"""What a body of JSON may hold: records that check requests, and that `/openapi.json` is written from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, final

from optimum_ose.serving.kinds import Kind, Schema, WrongValueError
from optimum_ose.serving.protocol import RequestError, ServerLimits, parse_json
from optimum_ose.wording import listed


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A name in a body."""

    kind: Kind
    """What its value must be."""
    meaning: str
    """For `/openapi.json`."""
    default: Any = None
    """Read where it is left out or null."""
    is_required: bool = False
    """Whether it must be there."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A JSON object with named fields."""

    fields: Mapping[str, Field]
    """By name."""
    example: Mapping[str, Any] = field(default_factory=dict)
    """A body that is answered."""
    allows_others: bool = False
    """Whether further names are passed over; else they are refused."""
    is_form: bool = False
    """Whether it comes as a form beside a file."""

    def parse(self, body: bytes, limits: ServerLimits) -> dict[str, Any]:
        """The value of every field of a request's body.

        Raises:
            RequestError: 400 if it is malformed, 422 if it asks for too much.
        """
        return self.values(parse_json(body, self.refusal), limits)

    def values(self, content: Any, limits: ServerLimits) -> dict[str, Any]:
        """The value of every field of parsed JSON; as `parse`."""
        try:
            return self.read("", content, limits)
        except WrongValueError as error:
            raise self.refusal(str(error)) from error

    def read(self, name: str, value: Any, limits: ServerLimits) -> dict[str, Any]:
        """As a kind of value: an object in another one has a name."""
        required = [key for key, item in self.fields.items() if item.is_required]
        if not isinstance(value, dict) or any(key not in value for key in required):
            with_keys = f" with the key{'s' * (len(required) > 1)} {', '.join(required)}" if required else ""
            at_most = f" with at most the keys {', '.join(self.fields)}" if name else with_keys
            raise WrongValueError(f"{name or 'the body'} is no object{at_most}")
        others = [key for key in value if key not in self.fields]
        if others and not self.allows_others:
            keys = f"the keys {', '.join(self.fields)}"
            raise WrongValueError(f"{name or 'the body'} is no object with at most {keys}; it has {listed(others)}")
        return {
            key: item.default
            if value.get(key) is None and not item.is_required
            else item.kind.read(key, value[key], limits)
            for key, item in self.fields.items()
        }

    def schema(self, limits: ServerLimits) -> Schema:
        """The body in JSON schema."""
        properties = {}
        for name, item in self.fields.items():
            known = {} if item.default is None else {"default": item.default}
            properties[name] = {**item.kind.schema(limits), "description": item.meaning, **known}
        required = [name for name, item in self.fields.items() if item.is_required]
        shape: Schema = {"type": "object", "properties": properties, "additionalProperties": self.allows_others}
        return shape | ({"required": required} if required else {})

    def refusal(self, actual: str) -> RequestError:
        """A body that is malformed."""
        required = [name for name, item in self.fields.items() if item.is_required]
        others = "parameters" if "parameters" in self.fields else "others"
        expected = f"A request body must be JSON with {' and '.join(required)} and perhaps {others}"
        remedy = f"Send {json.dumps(dict(self.example))}"
        if self.is_form:
            expected = f"A request body must be a form with one file and perhaps {', '.join(self.fields)}"
            remedy = "Send it with `curl -F file=@FILE`"
        return RequestError(HTTPStatus.BAD_REQUEST, expected=expected, actual=actual, remedy=remedy)
