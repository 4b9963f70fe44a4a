"""What a PATCH of a group does to its members: by their ids, so that a group of thousands is not read for one. Pure."""

from collections.abc import Iterator, Sequence

import msgspec

from broker.errors import Refusal
from broker.identity_store.attributes import GROUP
from broker.identity_store.filters import Filter, named_by
from broker.identity_store.patching import REMOVE, REPLACE, PatchOperation, read_target
from broker.identity_store.refusals import invalid_path, invalid_value, no_target
from broker.identity_store.resources import member_ids

MEMBERS = "members"


class MembersAdded(msgspec.Struct, frozen=True):
    user_ids: tuple[str, ...]


class MembersReplaced(msgspec.Struct, frozen=True):
    user_ids: tuple[str, ...]


class MembersRemoved(msgspec.Struct, frozen=True):
    user_ids: tuple[str, ...]


class MembersMatchedRemoved(msgspec.Struct, frozen=True):
    """Those whom the filter of a path chooses."""

    filter: Filter


MembershipChange = MembersAdded | MembersReplaced | MembersRemoved | MembersMatchedRemoved


def split_operations(
    operations: Sequence[PatchOperation],
) -> tuple[tuple[PatchOperation, ...], tuple[MembershipChange, ...]]:
    """What is done to the group's own attributes, and to its members; raises Refusal."""
    own: list[PatchOperation] = []
    changes: list[MembershipChange] = []
    for one in [each for operation in operations for each in _by_path(operation)]:
        target = read_target(one.path, GROUP)
        if target.path.attribute.name != MEMBERS:
            own.append(one)
            continue
        if target.path.part is not None:
            raise invalid_path("Members are added and removed whole.")
        changes.append(_change(one, target.filter))
    return tuple(own), tuple(changes)


def _by_path(operation: PatchOperation) -> Iterator[PatchOperation]:
    """An operation without a path as one operation for each attribute that its value names."""
    if operation.path:
        yield operation
        return
    if operation.op == REMOVE:
        raise no_target("An operation that removes has a path.")
    if not isinstance(operation.value, dict):
        raise invalid_value("The value of an operation without a path is an object.")
    for name, value in operation.value.items():
        try:
            read_target(name, GROUP)
        except Refusal:
            continue
        yield PatchOperation(operation.op, name, value, has_value=True)


def _change(operation: PatchOperation, chosen: Filter | None) -> MembershipChange:
    if chosen is not None:
        if operation.op != REMOVE:
            raise invalid_path("A path with a filter removes members.")
        named = named_by(chosen)
        if named is not None and named[0] == "value":
            return MembersRemoved((named[1],))
        return MembersMatchedRemoved(chosen)
    ids = member_ids(operation.value)
    if operation.op == REPLACE:
        return MembersReplaced(ids)
    if operation.op != REMOVE:
        return MembersAdded(ids)
    return MembersRemoved(ids) if operation.value is not None else MembersReplaced(())
