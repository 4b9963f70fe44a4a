"""Each operation of the broker that boto3 knows is driven by boto3 against a running server, and refused there.

Read in the text of the e2e tests: somewhere the operation's method is called (`iam.create_user(…)`), and a function
that is about refusals names it for another to call (`refused(iam.create_user, …)`) or calls it where an error is
expected (`with refused_with(…): …`). An operation that botocore's model gains, or whose one test goes away, shows up
here. `e2e/test_every_permission.py` calls all of IAM without a permission.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

import broker.app  # noqa: F401  it imports every room, which declares its operations
from broker.operation import OPERATIONS

FOLDER = Path(__file__).parent / "e2e"
Function = ast.FunctionDef | ast.AsyncFunctionDef
COUNTS = {"iam": 181, "sts": 12, "rolesanywhere": 30}
SERVICES = sorted({service for service, _ in OPERATIONS})
EXPECTING = {"raises", "refused_with"}


def methods(service: str) -> dict[str, str]:
    """The operations that botocore and the broker have, by the names of boto3's methods."""
    names = botocore.session.get_session().get_service_model(service).operation_names
    ours = {name for of, name in OPERATIONS if of == service}
    return {xform_name(name): name for name in names if name in ours}


@cache
def functions() -> tuple[Function, ...]:
    trees = [ast.parse(path.read_text("utf-8")) for path in FOLDER.rglob("*.py")]
    return tuple(node for tree in trees for node in ast.walk(tree) if isinstance(node, Function))


def called(node: ast.AST) -> Iterator[ast.Attribute]:
    return (
        one.func
        for one in ast.walk(node)
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute)
    )


def named(node: ast.AST) -> set[str]:
    """Attributes that are read and not called there."""
    calls = {id(one) for one in called(node)}
    return {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute) and id(one) not in calls}


def called_where_an_error_is_expected(function: Function) -> set[str]:
    blocks = (node for node in ast.walk(function) if isinstance(node, ast.With))
    expecting = (
        block for block in blocks if any(EXPECTING & words(item.context_expr) for item in block.items)
    )
    return {one.attr for block in expecting for one in called(block)}


def words(node: ast.AST) -> set[str]:
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return names | {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}


def is_about_refusals(function: Function) -> bool:
    words = {one.id for one in ast.walk(function) if isinstance(one, ast.Name)}
    return bool(words & {"refused", "refusal", "refused_by", "all_refused", "ClientError"})


@pytest.mark.parametrize("service", SERVICES)
def test_each_operation_is_called_by_a_test_of_the_running_server(service: str) -> None:
    driven = {one.attr for function in functions() for one in called(function)}
    assert {name for method, name in methods(service).items() if method not in driven} == set()


@pytest.mark.parametrize("service", SERVICES)
def test_each_operation_is_refused_by_a_test_of_the_running_server(service: str) -> None:
    refused = {name for function in functions() if is_about_refusals(function) for name in named(function)}
    refused |= {name for function in functions() for name in called_where_an_error_is_expected(function)}
    assert {name for method, name in methods(service).items() if method not in refused} == set()


@pytest.mark.parametrize(("service", "count"), COUNTS.items())
def test_the_broker_has_all_operations_of_botocores_model(service: str, count: int) -> None:
    names = set(botocore.session.get_session().get_service_model(service).operation_names)
    assert names - {name for of, name in OPERATIONS if of == service} == set()
    assert len(names) == count
