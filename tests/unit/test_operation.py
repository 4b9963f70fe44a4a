"""What an operation must declare, and the order in which it is performed: prepare, gate, handle."""

from typing import Any

import pytest

import broker.iam
import broker.simulator
import broker.sts  # noqa: F401  rooms declare their operations
from broker.access.resource import Resource
from broker.errors import Refusal, access_denied
from broker.operation import Absent, Call, Operation, Prepared, Prove, no_resource, operation, perform


async def handle(call: Any, request: Any, prepared: Prepared[None]) -> None:
    return None


async def prove(store: Any, facts: Any, request: Any) -> Any:
    return None


@pytest.mark.parametrize(
    ("action", "proof", "said"),
    [
        ("iam:MakeUser", None, "the model of iam knows no operation MakeUser"),
        ("nothing:MakeUser", None, "the model of nothing knows no operation MakeUser"),
        ("iam:CreateUser", None, "iam:CreateUser has a handler already"),
        ("sts:AssumeRoleWithSAML", None, "sts:AssumeRoleWithSAML is not signed: it needs `prove`"),
        ("iam:ListServerCertificates", prove, "iam:ListServerCertificates is signed: it cannot have `prove`"),
    ],
)  # fmt: skip
def test_an_invalid_declaration_of_an_operation_is_refused_at_import(
    action: str, proof: Prove | None, said: str
) -> None:
    with pytest.raises(ValueError) as refused:
        operation(action, prepare=no_resource, prove=proof)(handle)
    assert said in str(refused.value)


def test_an_operation_that_declares_no_resource_is_refused_at_import() -> None:
    with pytest.raises(TypeError):
        operation("iam:ListServerCertificates")  # type: ignore[call-arg]


class Order:
    """A gate and an operation that write down when they were asked."""

    def __init__(self, *, allows: bool, found: Prepared[Any] | Absent) -> None:
        self.asked: list[Any] = []
        self._allows = allows
        self._found = found

    async def require(self, store: Any, caller: Any, facts: Any, action: str, resource: Resource) -> None:
        self.asked.append(("gate", action, resource.arn))
        if not self._allows:
            raise access_denied("no")

    async def perform(self) -> Any:
        async def prepare(call: Call, request: Any) -> Prepared[Any] | Absent:
            self.asked.append("prepare")
            return self._found

        async def handle(call: Call, request: Any, prepared: Prepared[Any]) -> Any:
            self.asked.append(("handle", prepared.found))

        declared = Operation("iam", "GetUser", "iam:GetUser", prepare, handle, is_tagging=False)
        call = Call(*[None] * 3, self, *[None] * 5)  # type: ignore[arg-type]
        return await perform(declared, call, None)


async def test_the_gate_judges_what_the_handler_then_acts_on() -> None:
    order = Order(allows=True, found=Prepared(Resource("arn:one"), "one"))
    await order.perform()
    assert order.asked == ["prepare", ("gate", "iam:GetUser", "arn:one"), ("handle", "one")]


async def test_nothing_is_handled_where_the_gate_refuses() -> None:
    order = Order(allows=False, found=Prepared(Resource("arn:one"), "one"))
    with pytest.raises(Refusal):
        await order.perform()
    assert order.asked == ["prepare", ("gate", "iam:GetUser", "arn:one")]


@pytest.mark.parametrize(("allows", "code"), [(True, "NoSuchEntity"), (False, "AccessDenied")])
async def test_only_a_caller_with_permission_learns_that_an_entity_does_not_exist(
    allows: bool, code: str
) -> None:
    absent = Absent(Resource("arn:one"), Refusal("NoSuchEntity", "there is no one"))
    order = Order(allows=allows, found=absent)
    with pytest.raises(Refusal) as refused:
        await order.perform()
    assert refused.value.code == code
    assert order.asked == ["prepare", ("gate", "iam:GetUser", "arn:one")]


def test_a_call_cannot_be_changed() -> None:
    call = Call(*[None] * 9)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        call.caller = None  # type: ignore[misc, assignment]
