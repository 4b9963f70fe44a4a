"""The text of a statement, cut out of its policy by the simulator's positions."""

import json

from broker.policy import PolicyKind, parse_policy
from broker.portal.console.statements import cut

TEXT = """{"Version": "2012-10-17", "Statement": [
  {"Sid": "One", "Effect": "Allow", "Action": "s3:*", "Resource": "*"},
  {"Sid": "Two", "Effect": "Deny", "Action": "s3:Put*", "Resource": "*"}
]}"""


def test_each_statement_is_cut_whole_and_alone():
    spans = [one.span for one in parse_policy(TEXT, PolicyKind.IDENTITY).statements]
    found = [json.loads(cut(TEXT, span.start, span.end)) for span in spans]
    assert [one["Sid"] for one in found] == ["One", "Two"]


def test_positions_of_another_text_cut_nothing():
    span = parse_policy(TEXT, PolicyKind.IDENTITY).statements[1].span
    assert cut("{}", span.start, span.end) == ""
