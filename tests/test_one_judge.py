"""There is one judge: nothing outside broker/policy weighs Allow against Deny; only gate and simulator ask it.

A search over the syntax trees of the package. Writing a policy document (`{"Effect": "Allow", ...}`) is no judgement;
reading one's Effect, comparing with "Allow" or "Deny", matching globs, or reaching into the engine's parts is.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "broker"
# Who may ask the engine for a decision: the gate, for every request; the simulators, for questions.
ASKERS = ("access/gate.py", "simulator/simulation", "commands/simulation")
# Who may name the effect of a statement that the engine has found to match: it tells, after the decision.
NARRATORS = {
    "commands/explaining.py",
    "portal/console/simulator.py",
    "simulator/near_misses.py",
}
WORDS_OF_JUDGEMENT = {"Allow", "Deny"}
# "Action" is a parameter of every query request, too; these three are elements of policies alone.
ELEMENTS = {"Effect", "NotAction", "NotResource"}
ATTRIBUTES = {"effect", "not_actions", "not_resources"}
MATCHERS = {"fnmatch", "glob", "wcmatch"}
# The doors of the solver, which answers checks of texts, not requests; its parts are the engine's.
SOLVER = "broker.policy.solver"
ENGINE_TYPES = {"Effect", "Condition", "Statement", "Principals"}


def modules_outside_the_engine():
    paths = sorted(path for path in PACKAGE.rglob("*.py") if PACKAGE / "policy" not in path.parents)
    return [(path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


def judgements(source):
    """What `source` does that only the engine may do, as (line, what)."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for check in (weighs_words, reads_an_element, reads_an_effect, imports_a_judge):
            what = check(node)
            if what:
                found.append((node.lineno, what))
    return found


def constants(nodes):
    flat = [
        one
        for node in nodes
        for one in (node.elts if isinstance(node, ast.Tuple | ast.Set | ast.List) else [node])
    ]
    return {node.value for node in flat if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def weighs_words(node):
    """`effect == "Deny"`, `"Allow" in effects`, `case "Allow":`"""
    if isinstance(node, ast.Compare):
        return (
            "compares with Allow or Deny"
            if constants([node.left, *node.comparators]) & WORDS_OF_JUDGEMENT
            else ""
        )
    if isinstance(node, ast.MatchValue):
        return "matches on Allow or Deny" if constants([node.value]) & WORDS_OF_JUDGEMENT else ""
    return ""


def reads_an_element(node):
    """`statement["Effect"]`, `statement.get("NotAction")`"""
    if (
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Load)
        and constants([node.slice]) & ELEMENTS
    ):
        return "reads an element of a policy statement"
    is_look_up = (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("get", "pop")
    )
    return (
        "reads an element of a policy statement" if is_look_up and constants(node.args[:1]) & ELEMENTS else ""
    )


def reads_an_effect(node):
    """`statement.effect`, `.not_actions` of a parsed policy"""
    is_read = isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES
    return f"reads .{node.attr} of a statement" if is_read else ""


def imports_a_judge(node):
    """The engine's inner modules, its statement types, or another matcher of wildcards."""
    if isinstance(node, ast.Import):
        names = {alias.name for alias in node.names}
        return "imports a matcher or the engine's parts" if any(is_judge(name) for name in names) else ""
    if not isinstance(node, ast.ImportFrom):
        return ""
    if is_judge(node.module or ""):
        return "imports a matcher or the engine's parts"
    types = {alias.name for alias in node.names} & ENGINE_TYPES if node.module == "broker.policy" else set()
    return f"imports {sorted(types)} of the engine" if types else ""


def is_judge(module):
    is_part = module.startswith("broker.policy.") and not module.startswith("broker.policy.validation")
    return module.split(".")[0] in MATCHERS or (is_part and module != SOLVER)


def asks_the_engine(source):
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "broker.policy"
        and "decide" in {a.name for a in node.names}
        for node in ast.walk(ast.parse(source))
    )


def test_nothing_outside_the_engine_judges():
    found = {name: judgements(source) for name, source in modules_outside_the_engine()}
    assert not {name: what for name, what in found.items() if what and name not in NARRATORS}


def test_who_tells_the_reasons_asks_nothing_and_refuses_nothing():
    for name, source in modules_outside_the_engine():
        if name in NARRATORS:
            assert not asks_the_engine(source) and "Refusal(" not in source and "access_denied(" not in source
            assert {what for _, what in judgements(source)} <= {
                "reads .effect of a statement",
                "imports ['Effect'] of the engine",
            }


def test_only_the_gate_and_the_simulators_ask_the_engine():
    askers = [name for name, source in modules_outside_the_engine() if asks_the_engine(source)]
    assert "access/gate.py" in askers
    assert [name for name in askers if not name.startswith(ASKERS)] == []


@pytest.mark.parametrize(
    "source",
    [
        'if statement["Effect"] == "Deny": raise Refused',
        'effects = {s.get("Effect") for s in statements}',
        'allowed = "Allow" in effects',
        'denied = effect in ("Deny", "deny")',
        "match effect:\n    case 'Allow':\n        pass",
        'for action in statement.get("NotAction", []): pass',
        "blocked = any(s.effect is DENY for s in policy.statements)",
        "from broker.policy import Effect",
        "from broker.policy.conditions import compile_condition",
        "import broker.policy.index",
        "from broker.policy.solver.examining import examine",
        "import fnmatch",
        "from fnmatch import fnmatchcase",
    ],
)
def test_the_search_finds_a_second_judge(source):
    assert judgements(source)


@pytest.mark.parametrize(
    "source",
    [
        'document = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": name}}',
        "decision = await gate.decide(store, caller, facts, action, resource)",
        'headers = {"Allow": "GET, HEAD"}',
        "if not decision.allowed: raise access_denied(sentence)",
        "from broker.policy import PolicyKind, parse_policy",
    ],
)
def test_the_search_leaves_honest_code_alone(source):
    assert not judgements(source)
