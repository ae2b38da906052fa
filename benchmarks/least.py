"""The least number of requests that an API allows, computed from what there is to be read.

Of each service: what it gives with one request at most, and what cannot be asked for together.
Nothing is counted that another way of asking would save.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING

from graphql import build_schema, parse

from ingestion.sources.hubspot.options import OBJECTS as HUBSPOT_OBJECTS
from ingestion.sources.hubspot.options import PAIRS
from ingestion.sources.salesforce.streams import DECLARED
from ingestion.sources.shopify.queries import OBJECTS as SHOPIFY_OBJECTS
from ingestion.sources.shopify.queries import REFUNDS_AT_ONCE
from ingestion.sources.stripe.resources import RESOURCES
from simulators.shopify.costs import Bucket, requested
from simulators.shopify.system import SCHEMA_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

STEPS = ("first load", "nothing new", "second batch")


@dataclass(frozen=True)
class Delivered:
    """What the two batches of a folder have of a service.

    Attributes:
        folder: laid out in batches.
        system: the service.
        id: the field of the id.
    """

    folder: Path
    system: str
    id: str = "id"

    def first(self, object_: str) -> int:
        """Return how many records the first batch has."""
        return len(self._ids[1, object_])

    def changed(self, object_: str) -> int:
        """Return how many records the second batch brings, new ones among them."""
        return len(self._ids[2, object_])

    def new(self, object_: str) -> int:
        """Return how many of these are new."""
        return len(self._ids[2, object_] - self._ids[1, object_])

    @cached_property
    def _ids(self) -> _Ids:
        found = _Ids()
        for batch in (1, 2):
            for path in (self.folder / f"batch_{batch}" / self.system).glob("*.*"):
                with path.open(encoding="utf-8", newline="") as file:
                    rows = csv.DictReader(file) if path.suffix == ".csv" else map(json.loads, file)
                    found[batch, path.stem] = frozenset(str(row[self.id]) for row in rows)
        return found


class _Ids(dict[tuple[int, str], frozenset[str]]):
    def __missing__(self, key: tuple[int, str]) -> frozenset[str]:
        return frozenset()


def least(folder: Path, system: str, step: str) -> Counter[str]:
    """Return the least number of requests of a sync, by class."""
    return _LEAST[system](Delivered(folder, system, _ID.get(system, "id")), step)


def _salesforce(found: Delivered, step: str) -> Counter[str]:
    """25 descriptions come by one request, 2000 records by one query.

    A query for more of them would be three requests and one for each page of a job of Bulk. The
    feed of deleted records tells of one object, and of those only that are replicated.
    """
    asked = Counter(token=1, describe=ceil(len(DECLARED) / 25))
    rows = found.first if step == "first load" else found.changed
    for object_ in DECLARED:
        many = 0 if step == "nothing new" else rows(object_)
        if many <= 2000:  # noqa: PLR2004
            asked["query"] += 1
        else:
            asked.update(job=1, poll=1, results=ceil(many / 50_000))
    if step != "first load":
        asked["deleted"] = sum(stream.deleted is not None for stream in DECLARED.values())
    return asked


def _hubspot(found: Delivered, step: str) -> Counter[str]:
    """Properties are asked for by type. A list has 100 records and a search 200.

    Archived records, owners and pipelines are lists of their own; associations come for 1000
    records at once.
    """
    objects = HUBSPOT_OBJECTS
    asked = Counter(properties=len(objects), owners=2, pipelines=2)
    if step == "first load":
        asked["list"] = _pages(map(found.first, objects), 100) + len(objects)
        asked["associations"] = sum(ceil(found.first(_one(pair)) / 1000) for pair in PAIRS)
        return asked
    changed = found.changed if step == "second batch" else (lambda _: 0)
    asked["search"] = _pages(map(changed, objects), 200)
    asked["associations"] = sum(ceil(changed(_one(pair)) / 1000) for pair in PAIRS)
    return asked


def _stripe(found: Delivered, step: str) -> Counter[str]:
    """A list has 100 objects, and so has the feed of events.

    A changed object is one request, unless the whole list of them takes fewer; new ones are at its
    beginning. Balance transactions make no events, and refunds need not.
    """
    if step == "first load":
        return Counter(list=_pages(map(found.first, RESOURCES), 100), events=1)
    asked = Counter(list=2, events=1)
    if step == "second batch":
        asked["events"] = _pages([sum(map(found.changed, RESOURCES))], 100)
        for name in RESOURCES:
            new, changed = ceil(found.new(name) / 100), found.changed(name) - found.new(name)
            everything = ceil((found.first(name) + found.new(name)) / 100)
            if new + changed < everything:
                asked.update(list=new, object=changed)
            elif found.changed(name):
                asked.update(list=everything)
    return asked


def _shopify(found: Delivered, step: str) -> Counter[str]:
    """A page has 250 records, but a query may cost 1000 points: by the rule of the stand-in.

    A bulk operation is begun, looked at, and its file is downloaded. The lines of refunds come with
    no order, but for so many refunds at once. The shop itself is asked for once, and the feed of
    events for deleted products.
    """
    asked = Counter(graphql=1 + (step != "first load"))
    batch = {"first load": 1, "second batch": 2}.get(step)
    for name in SHOPIFY_OBJECTS:
        rows = {1: found.first, 2: found.changed}[batch](name) if batch else 0
        pages = max(1, ceil(rows / _rows_of_a_page(name)))
        if pages > 3:  # noqa: PLR2004
            asked.update(graphql=2, file=1)
        else:
            asked["graphql"] += pages
    if batch:
        asked["graphql"] += ceil(_refunds(found.folder, batch) / REFUNDS_AT_ONCE)
    return asked


def _refunds(folder: Path, batch: int) -> int:
    path = folder / f"batch_{batch}" / "shopify" / "orders.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    return sum(len(json.loads(line).get("refunds") or ()) for line in lines)


def _rows_of_a_page(name: str) -> int:
    schema, query = build_schema(SCHEMA_FILE.read_text(encoding="utf-8")), SHOPIFY_OBJECTS[name]
    document = parse(query.page)
    return max(
        rows
        for rows in (*range(1, 250), 250)
        if requested(schema, document, {"first": rows}) <= Bucket.single
    )


def _pages(counts: Iterable[int], size: int) -> int:
    """Return the pages of several lists: an empty one is asked for, too."""
    return sum(max(1, ceil(count / size)) for count in counts)


def _one(pair: str) -> str:
    return pair.split("/", maxsplit=1)[0]


_ID = {"salesforce": "Id"}
_LEAST: Mapping[str, Callable[[Delivered, str], Counter[str]]] = {
    "salesforce": _salesforce, "hubspot": _hubspot, "stripe": _stripe, "shopify": _shopify,
}  # fmt: skip
