"""The three little languages: expressions, conditions (`when`) and `depends`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hera_workflows.policies import RETRY_EXPRESSION
from leicos_jobs.core.errors import InputError
from leicos_jobs.local import depends
from leicos_jobs.local.expressions import evaluate, holds, truth
from leicos_jobs.local.substitution import substitute


def last(status: str = "Failed", code: str = "1", message: str = "") -> dict[str, str]:
    return {"lastRetry.status": status, "lastRetry.exitCode": code, "lastRetry.message": message}


@pytest.mark.parametrize(
    ("scope", "again"),
    [
        (last(code="75"), True),
        (last(code="137"), True),
        (last(code="143"), True),
        (last(code="70"), False),
        (last(code="78"), False),
        (last(code="1"), False),
        (last(code="-1"), False),
        (last("Error", "0"), True),
        (last(code="1", message="Pod was terminated in response to imminent node shutdown."), True),
        (last(code="1", message="The node was low on resource: memory. Threshold quantity: 100Mi. "), True),
        (last(code="1", message="The node had condition: [DiskPressure]. "), True),
        (last(code="1", message="Preempted in order to admit critical pod"), True),
        (last(code="1", message='Usage of EmptyDir volume "scratch" exceeds the limit "50Gi". '), False),
    ],
)
def test_the_retry_expression(scope: dict[str, str], again: bool) -> None:
    assert truth(RETRY_EXPRESSION, scope) is again


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 - 4 / 2", 5),
        ("-(3 - 5)", 2),
        ("7 % 4", 3),
        ("string(asInt(a.b) + 1)", "4"),
        ("a['b'] + \"x\"", "3x"),
        ("asFloat('1.5') > 1 and not (1 > 2)", True),
        ("a.missing ?? 'otherwise'", "otherwise"),
        ("1 == 1.0", True),
        ("1 == true", False),
        ("'a' in ['b', 'a']", True),
        ("a.b == '3' ? 'yes' : 'no'", "yes"),
        ("nil ?? 2", 2),
    ],
)
def test_an_expression(text: str, value: object) -> None:
    assert evaluate(text, {"a.b": "3"}) == value


@pytest.mark.parametrize(
    "text", ["a.c", "1 +", "1 1", "len(a.b)", "a.b | upper", "asInt('x')", "1 < 'x'", "!1", "(1", "{1}", "-'x'", "@"]
)
def test_what_is_not_implemented_or_wrong_is_an_error(text: str) -> None:
    with pytest.raises(InputError):
        evaluate(text, {"a.b": "3"})


@given(st.integers(0, 999), st.integers(0, 999), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
def test_numbers_compare_as_numbers(left: int, right: int, sign: str) -> None:
    text = f"{left} {sign} {right}"

    assert holds(text) is eval(text)
    assert truth(text, {}) is eval(text)


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ("", True),
        ("true == true", True),
        ("true", True),
        ("false", False),
        ("false == true", False),
        ("yes == yes", True),
        ("yes != no && (1 > 2 || 3 > 2)", True),
        ("'a b' == \"a b\"", True),
        ("10 > 9", True),
        ("'10' == 10", False),
        ("abc < abd", True),
        ("!(1 > 2)", True),
        ("-1 < 0", True),
        ("1.5 >= 1.5", True),
    ],
)
def test_a_condition(condition: str, held: bool) -> None:
    assert holds(condition) is held


@pytest.mark.parametrize("condition", ["1", "word", "1 > word", "{{x}} > 1", "1 >", "(1 > 2", "1 > 2 3", "a/b == c"])
def test_a_wrong_condition_is_an_error(condition: str) -> None:
    with pytest.raises(InputError):
        holds(condition)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("a-b", True),
        ("a-b && c", False),
        ("a-b && c.Failed", True),
        ("a-b.Failed || c.Errored", False),
        ("!c.Succeeded && (d || a-b.Omitted)", True),
        ("e", True),
        ("e.Omitted", False),
        ("f", False),
        ("f.Omitted", True),
        ("g.AnySucceeded && !g.AllFailed", True),
        ("h.Errored", True),
    ],
)
def test_depends(text: str, held: bool) -> None:
    outcomes = {
        "a-b": depends.Outcome("Succeeded"),
        "c": depends.Outcome("Failed"),
        "d": depends.Outcome("Skipped"),
        "e": depends.Outcome("Skipped"),
        "f": depends.Outcome("Omitted"),
        "g": depends.Outcome("Failed", any_succeeded=True),
        "h": depends.Outcome("Error"),
    }

    assert depends.satisfied(text, outcomes.__getitem__) is held


def test_references_are_replaced() -> None:
    scope = {"inputs.parameters.r": "2", "workflow.name": "w", "gone": None}

    assert substitute("{{workflow.name}}-{{ inputs.parameters.r }}", scope) == "w-2"
    assert substitute("{{=string(asInt(inputs.parameters.r) + 1)}} < 5", scope) == "3 < 5"
    assert substitute("{{=asInt(inputs.parameters['r']) * 2}}", scope) == "4"
    with pytest.raises(InputError, match="has no value"):
        substitute("{{unknown}}", scope)
    with pytest.raises(InputError, match="did not run"):
        substitute("{{gone}}", scope)
