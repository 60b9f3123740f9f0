"""Argo's two languages, the part that our workflows use: conditions (`when`, see `holds`), and the expressions of
`{{=...}}`, of retries and of a `depends`.

Argo evaluates expressions with the expr language. Implemented are literals, lists, `a.b.c` and `a['b']`, the functions
asInt, int, asFloat, float and string, ! && || and their words, comparisons, `in`, `matches`, + - * / %, `??` and `? :`.
Anything else is an error: a wrong guess at a language is worse than none.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from leicos_jobs.core.errors import InputError

ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
ORDERED = ("<", ">", "<=", ">=")
MISSING = object()


def evaluate(text: str, scope: Mapping[str, Any]) -> Any:
    """The value of an expression. `scope` maps dotted names such as lastRetry.exitCode to values."""
    parser = _Parser(text, scope)
    value = parser.whole(parser.conditional())
    if value is MISSING:
        raise parser.wrong("names something that is not defined here")
    return value


def truth(text: str, scope: Mapping[str, Any]) -> bool:
    """The value of an expression that must be true or false."""
    value = evaluate(text, scope)
    if not isinstance(value, bool):
        raise InputError(f"expression {text!r} is {value!r}, neither true nor false", fix="compare it with something")
    return value


def holds(condition: str) -> bool:
    """Whether a `when` without references is true. An empty one is. Argo evaluates it with govaluate.

    Bare words are texts, so `{{...}} == true` compares with the boolean and `a != b` two texts. Implemented are
    numbers, quoted texts, words, true and false, == != < <= > >=, ! && || and parentheses.
    """
    if not condition:
        return True
    parser = _Condition(condition, {})
    return parser.boolean(parser.whole(parser.binary(0)))


class _Parser:
    """Evaluates while it parses. Both sides of && and || are computed: no operand has a side effect."""

    TOKEN = re.compile(
        r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
        r"|(?P<name>[A-Za-z_]\w*)|(?P<sign>\|\||&&|==|!=|<=|>=|\?\?|[-+*/%<>!()\[\],.?:]))"
    )
    NOT: tuple[str, ...] = ("!", "not")
    LEVELS: tuple[tuple[str, ...], ...] = (
        ("||", "or"),
        ("&&", "and"),
        ("==", "!=", *ORDERED, "in", "matches"),
        ("+", "-"),
        ("*", "/", "%"),
    )

    def __init__(self, text: str, scope: Mapping[str, Any]) -> None:
        self._text = text
        self._scope = scope
        self._next = 0
        self._tokens: list[tuple[str, str]] = []
        position, stripped = 0, text.rstrip()
        while position < len(stripped):
            match = self.TOKEN.match(stripped, position)
            if match is None:
                raise self.wrong(f"has {stripped[position:].strip()[:20]!r}, which is not implemented")
            kind = str(match.lastgroup)
            self._tokens.append((kind, match.group(kind)))
            position = match.end()

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

    def whole(self, value: Any) -> Any:
        """The value, if nothing comes after it."""
        if self.peek()[0] != "end":
            raise self.wrong(f"goes on with {self.peek()[1]!r}, which is not implemented")
        return value

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
        if level == len(self.LEVELS):
            return self.unary()
        value = self.binary(level + 1)
        while sign := self.take(*self.LEVELS[level]):
            value = self.apply(sign, value, self.binary(level + 1))
        return value

    def apply(self, sign: str, left: Any, right: Any) -> Any:
        if MISSING in (left, right):
            raise self.wrong("names something that is not defined here")
        if sign in ("||", "or"):
            return self.boolean(left) | self.boolean(right)
        if sign in ("&&", "and"):
            return self.boolean(left) & self.boolean(right)
        try:
            return OPERATORS[sign](left, right)
        except TypeError:
            raise self.wrong(f"applies {sign} to {left!r} and {right!r}") from None

    def boolean(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.wrong(f"uses {value!r} as true or false")
        return value

    def unary(self) -> Any:
        if self.take(*self.NOT):
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


class _Condition(_Parser):
    TOKEN = re.compile(
        r"\s*(?:(?P<number>\d+(?:\.\d+)?(?![\w.]))|(?P<text>\"[^\"]*\"|'[^']*')|(?P<name>[A-Za-z_]\w*)"
        r"|(?P<sign>\|\||&&|==|!=|<=|>=|[<>!()-]))"
    )
    NOT = ("!",)
    LEVELS = (("||",), ("&&",), ("==", "!=", *ORDERED))

    def wrong(self, what: str) -> InputError:
        return InputError(f"when {self._text!r} {what}", fix="put texts into quotes, or correct the condition")

    def apply(self, sign: str, left: Any, right: Any) -> Any:
        if sign in ("==", "!="):
            return (type(left) is type(right) and left == right) is (sign == "==")
        if sign in ORDERED and (type(left) is not type(right) or isinstance(left, bool)):
            raise self.wrong(f"compares {left!r} {sign} {right!r}")
        return super().apply(sign, left, right)

    def operand(self) -> Any:
        kind, text = self.peek()
        if text == "(" or kind not in ("number", "text", "name"):
            return super().operand()
        self._next += 1
        if kind == "number":
            return float(text)
        return text[1:-1] if kind == "text" else {"true": True, "false": False}.get(text, text)


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


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": _compared,
    "!=": lambda left, right: not _compared(left, right),
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "in": lambda left, right: any(_compared(left, item) for item in right),
    "matches": lambda left, right: re.search(right, left) is not None,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "asInt": int,
    "int": int,
    "asFloat": float,
    "float": float,
    "string": plain,
}
