"""The limit: the same answers downloaded and parsed by httpx, msgspec and Arrow, and dropped."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import httpx
import msgspec
import pyarrow.csv as arrow_csv
from child import serve

_PAGE, _SEARCH_PAGE = 100, 200
_PAGE_ROWS = 50_000
_CHUNK_BYTES = 1 << 18
_DAY = 86_400_000
_FIRST, _LAST = 18_262 * _DAY, (18_262 + 396) * _DAY  # when the rows of `data` changed
_WINDOW = _DAY


def work(job: dict[str, Any]) -> int:
    """Read everything once; return how many records there were.

    Args:
        job: `way`, one of `list`, `search` and `bulk`; `url` of the service; `headers` that let
            requests in; `asked`, the names of the properties or the query.
    """
    with httpx.Client(base_url=job["url"], headers=job["headers"], timeout=600) as client:
        return _WAYS[job["way"]](client, job["asked"])


def _by_list(client: httpx.Client, properties: str) -> int:
    rows, asked = 0, {"limit": str(_PAGE), "properties": properties}
    while True:
        page = _decoded(client.get("crm/v3/objects/contacts", params=asked))
        rows += len(page["results"])
        if "paging" not in page:
            return rows
        asked["after"] = page["paging"]["next"]["after"]


def _by_search(client: httpx.Client, properties: str) -> int:
    """Read by windows of time that all fit into one search."""
    rows = 0
    for low in range(_FIRST, _LAST, _WINDOW):
        ends = (("GTE", low), ("LT", low + _WINDOW))
        filters = [
            {"propertyName": "lastmodifieddate", "operator": operator, "value": str(value)}
            for operator, value in ends
        ]
        body = {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}],
            "properties": properties.split(","), "limit": _SEARCH_PAGE, "after": "0",
        }  # fmt: skip
        while True:
            page = _decoded(client.post("crm/v3/objects/contacts/search", json=body))
            rows += len(page["results"])
            if "paging" not in page:
                break
            body["after"] = page["paging"]["next"]["after"]
    return rows


def _by_bulk(client: httpx.Client, soql: str) -> int:
    asked = {"operation": "queryAll", "query": soql, "contentType": "CSV"}
    job = _decoded(client.post("jobs/query", json=asked))["id"]
    while _decoded(client.get(f"jobs/query/{job}"))["state"] != "JobComplete":
        time.sleep(1)
    rows, page = 0, {"maxRecords": str(_PAGE_ROWS)}
    while True:
        with tempfile.TemporaryFile() as file:
            with client.stream("GET", f"jobs/query/{job}/results", params=page) as response:
                response.raise_for_status()
                file.writelines(response.iter_bytes(_CHUNK_BYTES))
            file.seek(0)
            how = arrow_csv.ParseOptions(newlines_in_values=True)
            for batch in arrow_csv.open_csv(file, parse_options=how):
                rows += batch.num_rows
        page["locator"] = response.headers["Sforce-Locator"]
        if page["locator"] == "null":
            return rows


def _decoded(response: httpx.Response) -> Any:  # noqa: ANN401  # any JSON
    response.raise_for_status()
    return msgspec.json.decode(response.content)


_WAYS = {"list": _by_list, "search": _by_search, "bulk": _by_bulk}

if __name__ == "__main__":
    serve(work)
