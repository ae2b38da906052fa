"""An account: its lists, page by page, and its objects, whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import msgspec

from crmhouse.errors import SourceRefusedError, SourceUnavailableError
from ingestion.readers.json_lines import decoder
from ingestion.sources.stripe.answers import Head, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ingestion.http import Api
    from ingestion.sources.stripe.answers import Clock
    from ingestion.sources.stripe.resources import Resource

PAGE_RECORDS = 100
AT_ONCE = 4
_REPEATS = 5
# Whoever has it can complete the payment: it is no business of a warehouse.
_SECRET = "client_secret"  # noqa: S105  # the name of a field

_encoder = msgspec.json.Encoder(decimal_format="number")


class Mark(NamedTuple):
    """A place in a list: that of an object.

    Attributes:
        id: of the object.
        created: second of its creation.
    """

    id: str
    created: int


class Found(NamedTuple):
    """An object of a list.

    Attributes:
        mark: its place.
        text: JSON, as it came.
    """

    mark: Mark
    text: bytes


@dataclass(frozen=True)
class Account:
    """Reads one account.

    Attributes:
        api: of the account.
        clock: Stripe's.
    """

    api: Api
    clock: Clock

    def pages(
        self, path: str, query: Mapping[str, Any], after: Mark | None = None
    ) -> Iterator[list[Found]]:
        """Read a list to its end, newest first.

        Where the object that a page ended with is deleted before the next page is asked for, the
        list goes on by the second of its creation.

        Args:
            path: of the list.
            query: what to ask for beside paging.
            after: the place to go on from.

        Raises:
            SourceUnavailableError: the list does not come to an end.
        """
        repeats = 0
        while True:
            page = self._page(path, query, after)
            found = [_found(path, text) for text in page.data or ()]
            yield found
            if not page.has_more:
                return
            last = found[-1].mark if found else after
            repeats = repeats + 1 if last == after else 0
            if repeats == _REPEATS:
                raise SourceUnavailableError(
                    f"{self.api.place}: the list {path} says that there is more, and gave the same "
                    f"page {_REPEATS} times. Nothing of this slice was landed; sync again."
                )
            after = last

    def newest(self, path: str, query: Mapping[str, Any]) -> Mark | None:
        """Return the newest object of a list."""
        page = self._ask(path, {**query, "limit": 1})
        return next((_found(path, text).mark for text in page.data or ()), None)

    def objects(self, resource: Resource, ids: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """Read objects by their ids, whole; None where one is deleted."""
        rest = iter(ids)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while some := [*islice(rest, PAGE_RECORDS)]:
                texts = pool.map(lambda id_: self._object(resource, id_), some)
                yield from zip(some, texts, strict=True)

    def whole(self, text: bytes) -> bytes:
        """Return an object with all items of its lists.

        A list becomes `{"data": […]}`: the rest of it is where the page ended, and says nothing of
        the object. Secrets that let payments be completed are left out.
        """
        if b'"has_more"' not in text and _SECRET.encode() not in text:
            return text
        return _rewritten(text, self._items)

    def _items(self, nested: Mapping[str, Any]) -> list[Any]:
        """Return what a nested list carries, and the rest of it from where it is served."""
        items = list(nested.get("data", ()))
        if not nested.get("has_more"):
            return items
        url = urlsplit(str(nested["url"]))
        last = Mark(str(items[-1]["id"]), 0) if items else None
        for page in self.pages(url.path, dict(parse_qsl(url.query)), last):
            items += (decoder.decode(found.text) for found in page)
        known: dict[str, Any] = {item["id"]: item for item in items}
        return list(known.values())

    def _object(self, resource: Resource, id_: str) -> bytes | None:
        path = f"{resource.path}/{id_}"
        text = bytes(self.api.json("GET", path, msgspec.Raw, params=resource.query_of_one))
        head = _decoded(path, text)
        if head.error or head.deleted:
            return None
        return self.whole(text)

    def _page(self, path: str, query: Mapping[str, Any], after: Mark | None) -> Page:
        asked = {**query, "limit": PAGE_RECORDS}
        if after is None:
            return self._ask(path, asked)
        page = self._ask(
            path, {**asked, "starting_after": after.id}, or_missing=bool(after.created)
        )
        if page.data is not None:
            return page
        until = min(after.created, int(query.get("created[lte]", after.created)))
        return self._ask(path, {**asked, "created[lte]": until})

    def _ask(self, path: str, query: Mapping[str, Any], *, or_missing: bool = False) -> Page:
        """Ask for a page; without data only where the object to go on from may be gone."""
        page = self.api.json("GET", path, Page, params=query)
        if page.data is not None or (or_missing and page.error):
            return page
        if page.error:
            raise SourceUnavailableError(
                f"{self.api.place}: {path} is gone, or what its next page starts after: it was "
                "deleted meanwhile. Nothing of this slice was landed; sync again."
            )
        raise SourceRefusedError(
            f"{self.api.place}: {path} was answered by something else than a list. Nothing of it "
            "was taken over: see that the option url is right."
        )


def tombstone(last: bytes) -> bytes:
    """Return what is landed of an object that is deleted.

    Args:
        last: what the newest event showed. Of its lists there is no more than that.
    """
    return _rewritten(last, lambda nested: list(nested.get("data", ())), deleted=True)


def _rewritten(
    text: bytes,
    items: Callable[[Mapping[str, Any]], list[Any]],
    **more: Any,  # noqa: ANN401
) -> bytes:
    record = decoder.decode(text)
    record.pop(_SECRET, None)
    for name, value in record.items():
        if isinstance(value, dict) and value.get("object") == "list":
            record[name] = {"data": items(value)}
    return _encoder.encode(record | more)


def _found(path: str, text: msgspec.Raw) -> Found:
    head = _decoded(path, bytes(text))
    return Found(Mark(head.id, head.created or 0), bytes(text))


def _decoded(path: str, text: bytes) -> Head:
    try:
        return msgspec.json.decode(text, type=Head)
    except msgspec.ValidationError:
        raise SourceRefusedError(
            f"{path}: an object has no id, or no time of creation, as Stripe documents them. "
            "Nothing of it was taken over: see that the option url is right."
        ) from None
