"""Argo's expressions, the part that our workflows use: `{{=...}}`, the retry expression and the truth of a `depends`.

Argo evaluates them with the expr language. Implemented are literals, lists, `a.b.c` and `a['b']`, the functions asInt,
int, asFloat, float and string, ! && || and their words, comparisons, `in`, `matches`, + - * / %, `??` and `? :`.
Anything else is an error: a wrong guess at a language is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from leicos_jobs.core.errors import InputError

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<sign>\|\||&&|==|!=|<=|>=|\?\?|[-+*/%<>!()\[\],.?:]))"
)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}

LEVELS: tuple[tuple[str, ...], ...] = (
    ("||", "or"),
    ("&&", "and"),
    ("==", "!=", "<", ">", "<=", ">=", "in", "matches"),
    ("+", "-"),
    ("*", "/", "%"),
)
MISSING = object()


def evaluate(text: str, scope: Mapping[str, Any]) -> Any:
    """The value of an expression. `scope` maps dotted names such as lastRetry.exitCode to values."""
    parser = _Parser(text, scope)
    value = parser.conditional()
    parser.end()
    if value is MISSING:
        raise parser.wrong("names something that is not defined here")
    return value


def truth(text: str, scope: Mapping[str, Any]) -> bool:
    """The value of an expression that must be true or false."""
    value = evaluate(text, scope)
    if not isinstance(value, bool):
        raise InputError(f"expression {text!r} is {value!r}, neither true nor false", fix="compare it with something")
    return value


def tokens(text: str) -> list[tuple[str, str]]:
    """Split an expression into (kind, text)."""
    found, position = [], 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = TOKEN.match(stripped, position)
        if match is None:
            raise InputError(
                f"expression {text!r}: {stripped[position:].strip()[:20]!r} is not implemented",
                fix="use the operators that leicos run documents",
            )
        kind = str(match.lastgroup)
        found.append((kind, match.group(kind)))
        position = match.end()
    return found


class _Parser:
    """Evaluates while it parses. Both sides of && and || are computed: no operand has a side effect."""

    def __init__(self, text: str, scope: Mapping[str, Any]) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._next = 0
        self._scope = scope

    def wrong(self, what: str) -> InputError:
        return InputError(f"expression {self._text!r} {what}", fix="correct the expression")

    def peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def take(self, *words: str) -> str | None:
        kind, text = self.peek()
        if kind in ("sign", "name") and text in words:
            self._next += 1
            return text
        return None

    def expect(self, word: str) -> None:
        if self.take(word) is None:
            raise self.wrong(f"lacks {word!r} before {self.peek()[1]!r}")

    def end(self) -> None:
        if self.peek()[0] != "end":
            raise self.wrong(f"goes on with {self.peek()[1]!r}, which is not implemented")

    def conditional(self) -> Any:
        value = self.fallback()
        if self.take("?") is None:
            return value
        yes = self.conditional()
        self.expect(":")
        no = self.conditional()
        return yes if self.boolean(value) else no

    def fallback(self) -> Any:
        value = self.binary(0)
        while self.take("??"):
            other = self.binary(0)
            value = other if value is MISSING or value is None else value
        return value

    def binary(self, level: int) -> Any:
        if level == len(LEVELS):
            return self.unary()
        value = self.binary(level + 1)
        while operator := self.take(*LEVELS[level]):
            value = self.apply(operator, value, self.binary(level + 1))
        return value

    def apply(self, operator: str, left: Any, right: Any) -> Any:
        if MISSING in (left, right):
            raise self.wrong("names something that is not defined here")
        if operator in ("||", "or"):
            return self.boolean(left) | self.boolean(right)
        if operator in ("&&", "and"):
            return self.boolean(left) & self.boolean(right)
        try:
            return OPERATORS[operator](left, right)
        except TypeError:
            raise self.wrong(f"applies {operator} to {left!r} and {right!r}") from None

    def boolean(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.wrong(f"uses {value!r} as true or false")
        return value

    def unary(self) -> Any:
        if self.take("!", "not"):
            return not self.boolean(self.unary())
        if self.take("-"):
            value = self.unary()
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise self.wrong(f"negates {value!r}")
            return -value
        return self.operand()

    def operand(self) -> Any:
        kind, text = self.peek()
        self._next += 1
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "text":
            return re.sub(r"\\(.)", lambda match: ESCAPES.get(match.group(1), match.group(1)), text[1:-1])
        if text == "(":
            value = self.conditional()
            self.expect(")")
            return value
        if text == "[":
            return self.listed("]")
        if kind != "name":
            raise self.wrong(f"has {text!r} where a value belongs")
        if text in ("true", "false", "nil"):
            return {"true": True, "false": False, "nil": None}[text]
        if self.take("("):
            return self.called(text, self.listed(")"))
        return self.member(text)

    def listed(self, end: str) -> list[Any]:
        found: list[Any] = []
        while not self.take(end):
            if found:
                self.expect(",")
            found.append(self.conditional())
        return found

    def member(self, name: str) -> Any:
        path = name
        while True:
            if self.take("."):
                path += f".{self.peek()[1]}"
                self._next += 1
            elif self.take("["):
                path += f".{self.operand()}"
                self.expect("]")
            else:
                return self._scope.get(path, MISSING)

    def called(self, name: str, arguments: list[Any]) -> Any:
        if name not in FUNCTIONS or len(arguments) != 1:
            raise self.wrong(f"calls {name} with {len(arguments)} arguments, which is not implemented")
        if arguments[0] is MISSING:
            raise self.wrong("names something that is not defined here")
        try:
            return FUNCTIONS[name](arguments[0])
        except (TypeError, ValueError):
            raise self.wrong(f"cannot apply {name} to {arguments[0]!r}") from None


def plain(value: Any) -> str:
    """A value as it is put into text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _compared(left: Any, right: Any) -> bool:
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)


def _matches(left: Any, right: Any) -> bool:
    return re.search(right, left) is not None


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": _compared,
    "!=": lambda left, right: not _compared(left, right),
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
    "in": lambda left, right: any(_compared(left, item) for item in right),
    "matches": _matches,
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "%": lambda left, right: left % right,
}
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "asInt": int,
    "int": int,
    "asFloat": float,
    "float": float,
    "string": plain,
}
