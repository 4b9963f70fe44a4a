import json

import pytest

from broker.policy import MalformedPolicy, PolicyKind, Position, parse_policy
from broker.policy.spans import spans_of
from tests.growth import growth

STATEMENT = '{"Effect":"Allow","Action":"*","Resource":"*"}'


@pytest.mark.parametrize(
    "text", ['{"Statement":[{},{}]}', '{\n"Id":"é","Statement" : [\n\n{ \n},\n{}\n]\n}', '{"Statement":\n{}}']
)
def test_a_place_is_counted_as_a_reader_counts(text: str) -> None:
    found = [
        position
        for place in (spans_of(text)[number] for number in range(len(spans_of(text))))
        for position in (place.start, place.end)
    ]
    offsets = [_offset(text, position) for position in found]
    begin = text.index("[") + 1 if "[" in text else text.index("{}") + 1
    assert offsets[0] == begin
    assert [text[offset - 1] for offset in offsets[1::2]] == ["}"] * (len(found) // 2)
    assert offsets[2::2] == offsets[1:-1:2]


def _offset(text: str, position: Position) -> int:
    lines = text.split("\n")
    assert 1 <= position.column <= len(lines[position.line - 1]) + 1
    return sum(len(line) + 1 for line in lines[: position.line - 1]) + position.column - 1


@pytest.mark.parametrize("between", [",", ",\n\n"])
def test_the_places_of_many_statements_are_found_in_linear_time(between: str) -> None:
    def shown(size: int):
        text = f'{{"Version":"2012-10-17","Statement":[{between.join([STATEMENT] * size)}]}}'
        statements = parse_policy(text, PolicyKind.IDENTITY).statements

        def show() -> list[object]:
            spans_of.cache_clear()
            return [statement.span for statement in statements]

        return show

    assert growth(shown, 600) < 9


def test_a_fault_in_the_first_of_many_statements_is_placed_in_linear_time() -> None:
    def refused(size: int):
        text = json.dumps({"Version": "2012-10-17", "Statement": [{}] * size})

        def refuse() -> None:
            spans_of.cache_clear()
            with pytest.raises(MalformedPolicy):
                parse_policy(text, PolicyKind.IDENTITY)

        return refuse

    assert growth(refused, 5000) < 9
