"""Time: the span that the data covers, months, and how each system writes an instant.

All instants are aware, in UTC and whole seconds.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from crmhouse.errors import ConfigurationError

SHOP_ZONE = ZoneInfo("America/New_York")


@dataclass(frozen=True, slots=True)
class Timeline:
    """The span of the data. Both ends are exclusive: what happens at an end is not yet known.

    Attributes:
        begins: No record is older.
        end_batch_1: The first delivery holds the state at this instant.
        end_batch_2: The second delivery holds what changed until this instant.
    """

    begins: datetime
    end_batch_1: datetime
    end_batch_2: datetime

    def __post_init__(self) -> None:
        instants = (self.begins, self.end_batch_1, self.end_batch_2)
        if any(instant.tzinfo is None for instant in instants):
            raise ConfigurationError(f"Demo data needs instants with a time zone, got {instants}.")
        if not self.begins < self.end_batch_1 < self.end_batch_2:
            raise ConfigurationError(
                f"Demo data begins {self.begins}, its batches end {self.end_batch_1} and "
                f"{self.end_batch_2}: give them in ascending order."
            )

    @property
    def batches(self) -> dict[str, datetime]:
        """The two deliveries and the instants they show."""
        return {"batch_1": self.end_batch_1, "batch_2": self.end_batch_2}


def month_of(instant: datetime) -> str:
    """The month as `YYYY-MM`, in the instant's own time zone."""
    return f"{instant.year:04d}-{instant.month:02d}"


def months_until(begins: datetime, ends: datetime) -> list[str]:
    """Every month from the one of `begins` to the one that holds the instant just before `ends`."""
    month, months = datetime(begins.year, begins.month, 1, tzinfo=UTC), []
    while month < ends:
        months.append(month_of(month))
        month = add_months(month, 1)
    return months


def month_end(month: str) -> datetime:
    """The first instant that is no longer in the month."""
    return add_months(datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC), 1)


def add_months(instant: datetime, count: int) -> datetime:
    """The same day and time `count` months later; the last day where the month is shorter."""
    years, month = divmod(instant.month - 1 + count, 12)
    year = instant.year + years
    day = min(instant.day, monthrange(year, month + 1)[1])
    return instant.replace(year=year, month=month + 1, day=day)


def epoch(instant: datetime) -> int:
    """Stripe: seconds since 1970."""
    return int(instant.timestamp())


def epoch_or_none(instant: datetime | None) -> int | None:
    """Stripe: seconds since 1970, null where nothing happened."""
    return None if instant is None else epoch(instant)


def salesforce_time(instant: datetime) -> str:
    """Salesforce: `2025-03-31T13:01:57.000+0000`."""
    return instant.isoformat()[:19] + ".000+0000"


def hubspot_time(instant: datetime) -> str:
    """HubSpot: `2025-03-31T13:01:57.000Z`."""
    return instant.isoformat()[:19] + ".000Z"


def shopify_time(instant: datetime) -> str:
    """Shopify: the shop's local time with its offset, `2025-03-31T09:01:57-04:00`."""
    return instant.astimezone(SHOP_ZONE).isoformat()
