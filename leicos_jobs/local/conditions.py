"""`when`: a comparison of texts and numbers, after its references are replaced. Argo evaluates it with govaluate.

Bare words are texts, so `{{...}} == true` compares with the boolean and `a != b` two texts. Implemented are numbers,
quoted texts, words, true and false, == != < <= > >=, ! && || and parentheses.
"""

from __future__ import annotations

import re
from typing import Any

from leicos_jobs.core.errors import InputError

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?![\w.]))|(?P<text>\"[^\"]*\"|'[^']*')|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<sign>\|\||&&|==|!=|<=|>=|[<>!()-]))"
)
COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")


def holds(condition: str) -> bool:
    """Whether a condition without references is true. An empty one is."""
    if not condition:
        return True
    parser = _Parser(condition)
    value = parser.either()
    if parser.peek() is not None:
        raise parser.wrong(f"goes on with {parser.peek()!r}")
    return parser.boolean(value)


class _Parser:
    def __init__(self, condition: str) -> None:
        self._condition = condition
        self._tokens: list[tuple[str, str]] = []
        self._next = 0
        position, text = 0, condition.rstrip()
        while position < len(text):
            match = TOKEN.match(text, position)
            if match is None:
                raise self.wrong(f"has {text[position:].strip()[:20]!r}, which is not implemented")
            kind = str(match.lastgroup)
            self._tokens.append((kind, match.group(kind)))
            position = match.end()

    def wrong(self, what: str) -> InputError:
        return InputError(f"when {self._condition!r} {what}", fix="put texts into quotes, or correct the condition")

    def peek(self) -> str | None:
        return self._tokens[self._next][1] if self._next < len(self._tokens) else None

    def take(self, *signs: str) -> str | None:
        if self._next < len(self._tokens) and self._tokens[self._next][0] == "sign" and self.peek() in signs:
            self._next += 1
            return self._tokens[self._next - 1][1]
        return None

    def boolean(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.wrong(f"uses {value!r} as true or false")
        return value

    def either(self) -> Any:
        value = self.both()
        while self.take("||"):
            other = self.both()
            value = self.boolean(value) | self.boolean(other)
        return value

    def both(self) -> Any:
        value = self.compared()
        while self.take("&&"):
            other = self.compared()
            value = self.boolean(value) & self.boolean(other)
        return value

    def compared(self) -> Any:
        value = self.operand()
        while sign := self.take(*COMPARISONS):
            other = self.operand()
            value = self.compare(sign, value, other)
        return value

    def compare(self, sign: str, left: Any, right: Any) -> bool:
        if sign in ("==", "!="):
            return (type(left) is type(right) and left == right) is (sign == "==")
        if type(left) is not type(right) or isinstance(left, bool):
            raise self.wrong(f"compares {left!r} {sign} {right!r}")
        result: bool = {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[sign]
        return result

    def operand(self) -> Any:
        if self.take("!"):
            return not self.boolean(self.operand())
        if self.take("("):
            value = self.either()
            if self.take(")") is None:
                raise self.wrong("lacks a closing parenthesis")
            return value
        negative = self.take("-")
        if self._next >= len(self._tokens):
            raise self.wrong("ends too early")
        kind, text = self._tokens[self._next]
        self._next += 1
        if kind == "number":
            return -float(text) if negative else float(text)
        if negative or kind == "sign":
            raise self.wrong(f"has {text!r} where a value belongs")
        if kind == "text":
            return text[1:-1]
        return {"true": True, "false": False}.get(text, text)
