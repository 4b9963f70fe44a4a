"""YAML for people: what `broker export` writes, and what the console shows of an entity."""

import re
from typing import Any

# Line breaks to YAML 1.1 beside "\n", which a text keeps only where they are escaped.
_UNUSUAL_BREAKS = re.compile(r"[\r\x85\u2028\u2029\ufeff]")


def as_yaml(values: dict[str, Any]) -> str:
    """YAML that reads back as these values; texts of several lines as they are."""
    # Imported with the first entity that is shown so: workers need it for nothing else.
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> Any:
        style = '"' if _UNUSUAL_BREAKS.search(value) else "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return str(yaml.dump(values, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100))
