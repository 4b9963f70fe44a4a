"""Ids and times of events."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from broker.audit.event import uuid_text


@given(entropy=st.binary(min_size=16, max_size=16))
def test_sixteen_bytes_make_a_uuid_of_version_4(entropy):
    made = uuid.UUID(uuid_text(entropy))
    assert str(made) == uuid_text(entropy)
    assert (made.version, made.variant) == (4, uuid.RFC_4122)


@given(entropy=st.binary(min_size=16, max_size=16))
def test_all_other_bits_of_a_uuid_are_the_entropy_it_was_given(entropy):
    made = uuid.UUID(uuid_text(entropy)).int
    version_and_variant = (0xF000 << 64) | (0xF << 60)
    assert made & ~version_and_variant == int.from_bytes(entropy) & ~version_and_variant
