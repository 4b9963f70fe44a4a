"""Attribute mappings of a profile: which parts of a certificate become session tags."""

from msgspec.structs import replace

from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import rolesanywhere as shapes
from broker.roles_anywhere.profiles import profile_shape, put_profile
from broker.roles_anywhere.refusals import invalid
from broker.roles_anywhere.resources import PROFILE, found
from broker.storage.workload_records import WorkloadProfile

_named = found(PROFILE, "profile_id")


@operation("rolesanywhere:PutAttributeMapping", prepare=_named)
async def put_attribute_mapping(
    call: Call, request: shapes.PutAttributeMappingRequest, prepared: Prepared[WorkloadProfile]
) -> shapes.PutAttributeMappingResponse:
    """The rules of the field are those of the request; those of other fields stay."""
    specifiers = _specifiers(request.certificate_field, tuple(one.specifier for one in request.mapping_rules))
    if not specifiers:
        raise invalid("A mapping has at least one rule.")
    mappings = {**prepared.found.attribute_mappings, request.certificate_field: specifiers}
    after = _changed(call, prepared.found, mappings)
    return shapes.PutAttributeMappingResponse(profile=profile_shape(after))


@operation("rolesanywhere:DeleteAttributeMapping", prepare=_named)
async def delete_attribute_mapping(
    call: Call, request: shapes.DeleteAttributeMappingRequest, prepared: Prepared[WorkloadProfile]
) -> shapes.DeleteAttributeMappingResponse:
    """The rules of the field with these specifiers; without specifiers all of them."""
    field, mappings = request.certificate_field, dict(prepared.found.attribute_mappings)
    present = mappings.pop(field, ())
    deleted = _specifiers(field, request.specifiers)
    if missing := [one for one in deleted if one not in present]:
        raise invalid(f"The profile has no rule {field}/{missing[0]}.")
    rest = tuple(one for one in present if deleted and one not in deleted)
    if rest:
        mappings[field] = rest
    after = _changed(call, prepared.found, mappings)
    return shapes.DeleteAttributeMappingResponse(profile=profile_shape(after))


def _specifiers(field: str, asked_for: tuple[str, ...]) -> tuple[str, ...]:
    """As they are shown, each once; raises ValidationException."""
    # Imported with the first mapping: it takes megabytes.
    from broker.assertions.certificate_attributes import canonical_specifier

    found_ones = []
    for one in asked_for:
        specifier = canonical_specifier(field, one)
        if specifier is None:
            raise invalid(f"{one!r} is no specifier of {field}.")
        found_ones.append(specifier)
    return tuple(dict.fromkeys(found_ones))


def _changed(call: Call, profile: WorkloadProfile, mappings: dict[str, tuple[str, ...]]) -> WorkloadProfile:
    after = replace(profile, attribute_mappings=mappings, updated_at=int(call.now))
    put_profile(call, after)
    return after
