"""Data quality at the two boundaries: sources to raw tables, candidate marts to published ones.

The rules stand in `quality/rules/`; docs/quality.md explains them.
"""

from quality.catalogue import Boundary, row_rules
from quality.gate import require_known, run_gate
from quality.page import write_page
from quality.report import GateReport, GateResult

__all__ = [
    "Boundary",
    "GateReport",
    "GateResult",
    "require_known",
    "row_rules",
    "run_gate",
    "write_page",
]
