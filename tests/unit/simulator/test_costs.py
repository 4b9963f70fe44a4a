"""What a simulation may cost: much is refused before it is begun, and between two steps others have their turn."""

import asyncio

import pytest

from tests.unit.simulator.simulating import A, allow, custom, document, entry

TOO_LONG = (
    "InvalidInput",
    "The policies are too long to be compared with the resources and the values of ContextEntries at once.",
)
LONG = "a" * 100_000


def liking(*patterns: str, operator: str = "StringLike") -> str:
    return document(allow("s3:*", Condition={operator: {"aws:x": list(patterns)}}))


@pytest.mark.parametrize(
    ("policy", "entries", "resource"),
    [
        (liking("*" + "a?" * 40_000 + "b*"), (entry("aws:x", LONG),), A),
        (liking(*["*" + "a" * 40 + "b" + "a" * 40] * 1000), (entry("aws:x", LONG),), A),
        (liking("${aws:y}" * 5000), (entry("aws:x", LONG), entry("aws:y", LONG)), A),
        (
            liking(*["${aws:y}::"] * 9000, operator="IpAddress"),
            (entry("aws:x", "::"), entry("aws:y", "::")),
            A,
        ),
        (
            document(*[allow("s3:*", Condition={"BinaryEquals": {"aws:x": "YQ=="}})] * 900),
            (entry("aws:x", LONG),),
            A,
        ),
        (document(allow("s3:*", on="*")), (), "arn:aws:s3:::" + ":b" * 900),
    ],
    ids=["single characters", "many searches", "variables", "addresses", "bytes", "little"],
)
async def test_the_cost_of_patterns_grows_with_the_values_that_they_are_compared_with(
    iam, policy, entries, resource
):
    asked = custom(policy, context_entries=entries, resource_arns=(resource,))
    if resource == A:
        assert await iam.refused(asked) == TOO_LONG
    else:
        assert (await iam(asked)).evaluation_results, "a long resource alone is no harm"


async def test_the_cost_of_resources_grows_with_the_patterns_that_match_across_colons(iam):
    policy = document(allow("s3:*", on=["arn:*:s3:?*:*:*z"] * 3000))  # type: ignore[arg-type]
    assert await iam.refused(custom(policy, resource_arns=("arn:aws:s3" + ":b" * 1000,))) == TOO_LONG
    assert (await iam(custom(policy, resource_arns=(A,)))).evaluation_results


async def test_very_many_decisions_of_much_work_each_are_refused(iam):
    policy, resources = document(*[allow("s3:*")] * 2000), tuple(f"{A}{number}" for number in range(3000))
    code, message = await iam.refused(custom(policy, resource_arns=resources))
    assert code == "InvalidInput"
    assert message.startswith("ResourceArns: with these policies at most ")


async def test_a_page_ends_where_its_actions_cost_too_much(iam):
    policy, names = document(*[allow("ec2:*")] * 2000), tuple(f"s3:Get{number}" for number in range(100))
    found, pages, marker = [], 0, None
    resources = tuple(f"{A}{number}" for number in range(10))
    while pages == 0 or marker is not None:
        answer = await iam(custom(policy, action_names=names, resource_arns=resources, marker=marker))
        found += [one.eval_action_name for one in answer.evaluation_results]
        pages, marker = pages + 1, answer.marker
    assert tuple(found) == names
    assert 1 < pages < 10


async def test_missing_keys_count_towards_the_limit_of_an_answer(iam):
    """Fifty kilobytes of policy and two hundred resources: a hundred seconds, and millions of keys told."""
    keys = {f"aws:key{number}": "x" for number in range(1000)}
    policy = document(allow("s3:*", Condition={"StringEquals": keys}))
    resources = tuple(f"{A}{number}" for number in range(60))
    assert await iam.refused(custom(policy, resource_arns=resources)) == (
        "InvalidInput",
        "s3:GetObject: more statements match than can be shown in one answer.",
    )
    (result,) = (await iam(custom(policy, resource_arns=resources[:50]))).evaluation_results
    assert len(result.missing_context_values) == 1000


async def test_other_requests_are_served_between_the_steps_of_a_simulation(iam):
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(others())
    policies, names = [document(allow("s3:*"))] * 20, tuple(f"s3:Get{number}" for number in range(30))
    await iam(custom(*policies, action_names=names))
    running.cancel()
    assert turns >= 20 + 20 + 2 * 30, "each policy read, each compiled, each decision taken and told"
