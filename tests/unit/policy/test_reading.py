import json

import pytest

from broker.policy.reading import read_document
from tests.growth import growth


def test_a_key_that_is_there_twice_is_named() -> None:
    with pytest.raises(ValueError, match=r'^"b" appears twice'):
        read_document('{"a":1,"b":2,"c":{},"c":3,"b":4}')


def test_a_document_whose_last_key_is_there_twice_is_refused_in_linear_time() -> None:
    def refused(size: int):
        text = "{" + ",".join(f'"{number:06}":1' for number in [*range(size), size - 1]) + "}"

        def read() -> None:
            with pytest.raises(ValueError, match=json.dumps(f"{size - 1:06}")):
                read_document(text)

        return read

    assert growth(refused, 2000) < 9
