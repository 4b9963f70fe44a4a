"""Generated policies, measured on journals: what each user and role did, and what its generated policy would allow.

    .venv-test/bin/python -m scripts.bench.generated_policies JOURNAL...

Of each principal of the journals a policy is made by the code of GetGeneratedPolicy, and its placeholders are filled
with the names that its records have. Then the engine is asked about every request of the principal that counts,
and about every request that other principals of its account made and it did not: the policy should allow all of the
first, and few of the second. A request whose record names no resource of a form is asked about with a name that no
record has.
"""

import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import broker.app  # noqa: F401  # declares the operations
from broker.analyzer.generated_policies import policy_texts
from broker.analyzer.generation_steps import is_of_principal, with_records
from broker.audit.event import Event
from broker.audit.facets import find_event
from broker.names.principal import IamUser
from broker.permission_use.used_actions import needed_permissions, recorded_names
from broker.policy import (
    AccessRequest,
    Context,
    Layers,
    PolicyKind,
    PolicySet,
    Source,
    SourceKind,
    compile_policies,
    decide,
    named_forms,
    parse_policy,
)
from broker.storage.generation_records import PolicyGenerationJob

_PLACEHOLDER = re.compile(r"\$\{[^}]*\}")
_UNNAMED = "nothing-has-this-name"

Request = tuple[str, str]  # action, ARN


def main(paths: Iterable[str]) -> None:
    totals: Counter[str] = Counter()
    for path in paths:
        for account, events in sorted(by_account(Path(path)).items()):
            measure(account, events, totals)
    print_totals(totals)


def by_account(path: Path) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for line in path.read_bytes().splitlines():
        event = find_event(line)
        if event is not None and event.recipient_account_id:
            found[event.recipient_account_id].append(event)
    return found


def measure(account: str, events: list[Event], totals: Counter[str]) -> None:
    own: dict[str, set[Request]] = {}
    texts: dict[str, list[str]] = {}
    for principal in sorted(set(principals(events))):
        mine = [one for one in events if is_of_principal(principal, one)]
        own[principal] = {asked for one in mine for asked in requests(account, one)}
        job = PolicyGenerationJob(job_id="", principal_arn=principal, started_at=0, start=0, end=0)
        job = with_records(job, mine)
        totals["records"] += len(mine)
        totals["incomplete"] += job.is_incomplete
        texts[principal] = [filled(text, account, own[principal]) for text in policy_texts(job.used)]
    everything = {asked for some in own.values() for asked in some}
    for principal, asked in own.items():
        if not asked:
            continue
        totals["principals"] += 1
        totals["policies"] += len(texts[principal])
        layers = Layers(identity=compiled(texts[principal]), resource=trusting(account))
        for kind, some in (("own", asked), ("other", everything - asked)):
            for request in some:
                totals[kind] += 1
                is_allowed = allows(layers, account, request)
                totals[f"{kind} allowed"] += is_allowed
                if is_allowed is (kind == "other"):
                    totals[f"{kind}: {request[0]}"] += 1


def principals(events: Iterable[Event]) -> Iterator[str]:
    for one in events:
        identity = one.user_identity
        if identity.type == "IAMUser":
            yield identity.arn
        elif identity.type == "AssumedRole" and identity.session_context is not None:
            issuer = identity.session_context.session_issuer
            if issuer is not None:
                yield issuer.arn


def requests(account: str, event: Event) -> Iterator[Request]:
    names = recorded_names(event)
    for one in needed_permissions(event).actions:
        for form in one.forms:
            named = [name[1] for name in names if form in named_forms(one.action, name)]
            for text in named or [_UNNAMED]:
                yield one.action, arn_of(form, text, account)


def arn_of(form: str, name: str, account: str) -> str:
    """The ARN of that form; what the name does not say is a name that nothing has."""
    if form == "*" or name.startswith("arn:"):
        return form if form == "*" else name
    text = form.replace("${Account}", account)
    last = _PLACEHOLDER.findall(text)[-1:]
    for placeholder in last:
        text = name.join(text.rsplit(placeholder, 1))
    return _PLACEHOLDER.sub(_UNNAMED, text)


def filled(text: str, account: str, asked: set[Request]) -> str:
    """The document with all ARNs of each form in its place, as a person would fill it in."""
    document = json.loads(text)
    for statement in document["Statement"]:
        resources = statement["Resource"]
        forms = [resources] if isinstance(resources, str) else resources
        wanted = set()
        for form in forms:
            matches = re.compile(".+".join(map(re.escape, _PLACEHOLDER.split(form)))).fullmatch
            found = {arn for action, arn in asked if action in statement["Action"] and matches(arn)}
            wanted |= found if form != "*" else {"*"}
        statement["Resource"] = sorted(wanted)
    return json.dumps(document)


def trusting(account: str) -> PolicySet:
    """The trust policy of a role that leaves the decision to the account of who asks."""
    actions = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    statement = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": actions}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    source = Source(SourceKind.RESOURCE, "trust", "")
    return compile_policies([(source, parse_policy(text, PolicyKind.TRUST))])


def compiled(texts: list[str]) -> PolicySet:
    source = Source(SourceKind.USER, "generated", "arn:aws:iam::111122223333:user/generated")
    return compile_policies((source, parse_policy(text, PolicyKind.IDENTITY)) for text in texts)


def allows(layers: Layers, account: str, request: Request) -> bool:
    action, arn = request
    principal = IamUser(account, "generated", "AIDAGENERATED")
    asked = AccessRequest(principal, action, arn, account, Context.of_lowered({}))
    return decide(asked, layers).allowed


def print_totals(totals: Counter[str]) -> None:
    for kind, words in (
        ("own", "of its own requests"),
        ("other", "of requests that others made and it did not"),
    ):
        share = totals[f"{kind} allowed"] / max(1, totals[kind])
        print(f"{words}: {totals[f'{kind} allowed']} of {totals[kind]} are allowed ({share:.2%})")
    names = ("records", "principals", "policies", "incomplete")
    print(", ".join(f"{totals[name]} {name}" for name in names))
    print("exceptions: ", [(name, times) for name, times in totals.most_common() if ": " in name][:25])


if __name__ == "__main__":
    main(sys.argv[1:])
