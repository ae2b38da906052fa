from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from quality import kinds
from quality.catalogue import parse, suites

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/quality.md").read_text(encoding="utf-8")


def _documented() -> dict[str, set[str]]:
    """Read the table of kinds: kind to the parts it names."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)
    return {kind: set(re.findall(r"`(\w+)`", parts)) for kind, parts in rows}


def test_every_kind_of_rule_is_documented_with_its_parts_and_no_other() -> None:
    union, _ = get_args(kinds.Rule)
    common = {"id", "description", "severity", "needs", "on_fail", "kind"}
    declared = {
        get_args(model.model_fields["kind"].annotation)[0]: model.model_fields.keys() - common
        for model in get_args(union)
    }
    assert _documented() == declared


def test_the_example_is_a_rule_file() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (suite,) = parse(example, "docs/quality.md")
    ours = {rule.id: rule for s in suites("raw") if s.table == "orders" for rule in s.rules}
    assert all(ours[rule.id] == rule for rule in suite.rules)


def test_the_numbers_of_expectations_are_those_of_the_rule_files() -> None:
    raw, marts = (sum(len(suite.rules) for suite in suites(b)) for b in ("raw", "marts"))
    assert f"the {raw}\nexpectations of the raw gate" in PAGE
    assert f"the {marts} of the marts gate" in PAGE
    assert f"1 of {raw} expectations failed" in PAGE
