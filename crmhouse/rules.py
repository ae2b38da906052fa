"""What the landing engine and the quality gates share: a rule over one row of a raw table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RowRule:
    """A rule that every row of a raw table keeps; a row that breaks it goes to quarantine.

    Attributes:
        name: identifies the rule within its stream; stored as the quarantine reason.
        violation_sql: boolean SQL expression over the columns of the raw table. It is true for a
            row that breaks the rule and false for every other row, never NULL: columns that are
            NULL break only a rule that demands a value. A row that tells of a deletion
            (`_deleted_at` is set) never breaks a rule, so that no deletion is lost. It holds no
            parameter and no `%`.
        description: what the rule demands, in a sentence for the person who repairs the record.
    """

    name: str
    violation_sql: str
    description: str

    def __post_init__(self) -> None:
        if "%" in self.violation_sql:
            raise ValueError(f"rule {self.name}: drivers read % as a parameter; write it without")
