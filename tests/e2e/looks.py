"""How a page looks: axe-core finds no fault, nothing is wider than the screen, and a picture is left to look at."""

import os
from collections.abc import Sequence
from typing import Literal

import pytest
from playwright.sync_api import Page

from tests.e2e.conftest import ROOT
from tests.e2e.portal import shoot

AXE = ROOT / ".tools" / "axe-core" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
# In the dark the page is the same but for its colours: these are axe-core's rules that read one.
RULES_OF_COLOURS = ("color-contrast", "link-in-text-block")

# Colour scheme, width, and which rules of axe-core.
LOOKS: dict[str, tuple[Literal["light", "dark"], int, Sequence[str]]] = {
    "light": ("light", 1280, RULES),
    "dark": ("dark", 1280, RULES_OF_COLOURS),
    "narrow": ("light", 390, RULES),
}


def look_at(page: Page, name: str, height: int = 844) -> None:
    for look, (scheme, width, rules) in LOOKS.items():
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": height})
        shoot(page, f"{name}-{look}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, look
        assert faults_of(page, rules) == [], look


def faults_of(page: Page, rules: Sequence[str] = RULES) -> list[str]:
    """`rules` are axe-core's, or its tags."""
    if not AXE.exists():
        message = "no axe-core: scripts/axe-core could not fetch it (is npm there, and the registry?)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    if not page.evaluate("'axe' in window"):
        # Evaluated by the debugger: the page's own policy would load no script of others.
        page.evaluate(AXE.read_text())
    found = page.evaluate(f"axe.run({{runOnly: {list(rules)}, resultTypes: ['violations']}})")
    return [
        f"{fault['id']}: {node['target']}: {node['failureSummary']}"
        for fault in found["violations"]
        for node in fault["nodes"]
    ]
