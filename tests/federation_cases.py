"""Reads tests/cases/federation/*.json: the claims of a provider's tokens, and what becomes of them. A file holds

page        the page of `config/federation.md` whose provider and trust policy are used
documented  where the provider documents its claims
checked     when the claims were last compared with that or with a real token, and what it showed
claims      those of a usual token; `iss` is the issuer whose keys sign it
times       claims that are moments, in seconds from now
cases       sentence, `claims` laid over the usual ones (null takes one away), `times` instead of the usual ones,
            `answer` (`given`, or the code of the refusal), `check` (the one that failed, where it is no decision),
            and of what is given `subject`, `audience`, `provider`
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "cases" / "federation"


@dataclass(frozen=True)
class Case:
    page: str
    issuer: str
    written: dict[str, Any]
    usual: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.page}: {self.written['sentence']}"

    def claims(self, now: float) -> dict[str, Any]:
        """The token's claims at `now`."""
        times = self.written.get("times", self.usual["times"])
        moments = {name: int(now) + offset for name, offset in times.items()}
        claims = {**self.usual["claims"], **moments, **self.written.get("claims", {})}
        return {name: value for name, value in claims.items() if value is not None}


def cases() -> list[Case]:
    return [
        Case(content["page"], content["claims"]["iss"], written, content)
        for content in (json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json")))
        for written in content["cases"]
    ]
