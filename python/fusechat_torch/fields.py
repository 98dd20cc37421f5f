"""Keys of a JSON object from outside, each checked where it is read; keys that nobody reads are refused."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

from .errors import InputError
from .files import kind_of

_Choice = TypeVar("_Choice", bound=str)
_Item = TypeVar("_Item", int, str, float)
_MISSING: Any = object()


class Fields:
    """`where` begins the sentences of all errors: `job.json`, `job.json lora`."""

    def __init__(self, where: str, values: dict[str, Any]) -> None:
        self.where = where
        self._values = values
        self._read: list[str] = []

    def integer(self, key: str, least: int, most: int = 2**53, default: int = _MISSING) -> int:
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            bounds = f"{least} or more" if most == 2**53 else f"from {least} to {most}"
            raise self._wrong(key, f"an integer, {bounds}", value)
        return value

    def number(
        self, key: str, least: float, most: float = math.inf, *, open_ends: bool = False, default: float = _MISSING
    ) -> float:
        """A finite number. With `open_ends` the bounds themselves are not allowed."""
        value = self._take(key, default)
        good = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
        if good:
            good = least < value < most if open_ends else least <= value <= most
        if not good:
            between = f"above {least}" if open_ends else f"{least} or more"
            upper = "" if most == math.inf else f", {'below' if open_ends else 'at most'} {most}"
            raise self._wrong(key, f"a number, {between}{upper}", value)
        return float(value)

    def choice(self, key: str, choices: Sequence[_Choice], default: str = _MISSING) -> _Choice:
        value = self._take(key, default)
        for choice in choices:
            if choice == value:
                return choice
        raise self._wrong(key, f"one of {', '.join(choices)}", value)

    def flag(self, key: str, default: bool) -> bool:
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false", value)
        return value

    def text(self, key: str) -> str:
        value = self._take(key, _MISSING)
        if not isinstance(value, str) or value == "" or "\0" in value:
            raise self._wrong(key, "a text", value)
        return value

    def items(self, key: str, kind: type[_Item]) -> list[_Item]:
        """A list whose items are all of one kind, `int` or `str` or `float` (which takes integers too)."""
        value = self._take(key, _MISSING)
        kinds = (int, float) if kind is float else kind
        if not isinstance(value, list) or not all(isinstance(x, kinds) and not isinstance(x, bool) for x in value):
            raise self._wrong(key, f"a list of {'texts' if kind is str else 'numbers'}", value)
        return [kind(x) for x in value]

    def section(self, key: str) -> "Fields | None":
        value = self._take(key, None)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._wrong(key, "an object", value)
        return Fields(f"{self.where} {key}", value)

    def end(self) -> None:
        """Refuses what was not read: a key with a typing error would else be a setting that does nothing."""
        for key in self._values:
            if key not in self._read:
                raise InputError(f"{self.where}: unknown key {key!r}; known here are {', '.join(self._read)}")

    def _take(self, key: str, default: Any) -> Any:
        self._read.append(key)
        if key in self._values:
            return self._values[key]
        if default is _MISSING:
            raise InputError(f"{self.where}: {key} is missing")
        return default

    def _wrong(self, key: str, expected: str, value: object) -> InputError:
        found = repr(value)
        if len(found) > 60:
            found = kind_of(value)
        return InputError(f"{self.where}: {key}: expected {expected}, found {found}")
