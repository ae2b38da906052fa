from __future__ import annotations

import base64
import hashlib
import re
import uuid
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from quality_tables import AS_OF, SOURCES, create_raw

import quality
from crmhouse.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import RunGate

    from crmhouse.warehouse import Warehouse


class Elements(HTMLParser):
    """All elements of a page with their attributes, and what is open at the end."""

    VOID = frozenset({"meta", "link", "rect", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def page(module_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a run with a failure, a warning and an error, after a clean run."""
    create_raw(module_warehouse)
    run_id = uuid.uuid4()
    moment = {"sources": SOURCES, "as_of": AS_OF}
    quality.run_gate(module_warehouse, "raw", run_id=uuid.uuid4(), **moment)
    with module_warehouse.connect() as connection:
        connection.execute("update raw_shopify.orders set total_price = -1")
        connection.execute("update raw_stripe.invoices set customer = 'cus_gone'")
        connection.execute("alter table raw_salesforce.opportunity drop column probability")
    quality.run_gate(module_warehouse, "raw", run_id=run_id, **moment)
    file = tmp_path_factory.mktemp("page") / "new folder" / "gate.html"
    path = quality.write_page(module_warehouse, file, run_id=run_id)
    assert [file.name for file in path.parent.iterdir()] == ["gate.html"]
    return path.read_text(encoding="utf-8")


def test_failures_come_first_with_the_query_to_copy(page: str) -> None:
    failed, warnings, everything = (page.index(f">{title}") for title in (
        "What failed", "Warnings", "All expectations: raw tables"))  # fmt: skip
    assert failed < page.index("shopify.orders: total_not_negative") < warnings < everything
    assert failed < page.index("column &#34;probability&#34; does not exist") < warnings
    assert warnings < page.index("stripe.invoices: customer_known") < everything
    assert "No order has a negative total." in page
    assert '<pre tabindex="0">select * from &#34;raw_shopify&#34;.&#34;orders&#34;' in page


def test_every_expectation_stands_in_the_table_of_its_suite(page: str) -> None:
    described = [rule.description for rule in quality.row_rules("stripe", "subscriptions")]
    for text in described:
        assert f'<th scope="row">{text}<span' in page
    assert page.count('<tr><th scope="row">') >= 131


def test_the_page_says_that_the_other_gate_was_not_run(page: str) -> None:
    assert "Nothing was checked at this boundary in this run." in page


def test_the_latest_runs_are_listed_newest_first(page: str) -> None:
    history = page[page.index("Latest runs") :]
    assert history.index("(this run)") < history.index("✓ passed")
    assert 'role="img"' in history


def test_the_page_asks_nobody_for_anything(page: str) -> None:
    elements = Elements(page)
    assert elements.open == []
    assert not {"script", "img", "iframe", "form", "object"} & {tag for tag, _ in elements.found}
    assert [link["href"] for link in elements.of("link")] == ["data:,"]
    assert not re.search(r"""(?:src|href|action)\s*=\s*["'](?!data:,)""", page)
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert "url(" not in page


def test_the_content_policy_allows_this_style_and_nothing_else(page: str) -> None:
    (policy,) = (m["content"] for m in Elements(page).of("meta") if m.get("http-equiv"))
    style = page[page.index("<style>") + len("<style>") : page.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy is not None
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert "unsafe" not in policy
    assert ' style="' not in page


def test_tables_have_captions_and_headers_with_a_scope(page: str) -> None:
    elements = Elements(page)
    assert page.count("<caption>") == len(elements.of("table"))
    assert all(header.get("scope") in {"row", "col"} for header in elements.of("th"))
    assert elements.of("html") == [{"lang": "en"}]


def test_names_of_tables_and_reasons_cannot_inject_markup(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    run_id = uuid.uuid4()
    with warehouse.connect() as connection:
        connection.execute(
            "insert into ops.gate_results values (%(run)s, 'raw', %(x)s, %(x)s, 'error', 'error',"
            " null, null, %(x)s, %(x)s, now())",
            {"run": run_id, "x": "<script>alert(1)</script>"},
        )
    path = quality.write_page(warehouse, tmp_path / "gate.html", run_id=run_id)
    assert "<script" not in path.read_text(encoding="utf-8")


def test_a_page_replaces_the_one_before_and_is_readable_to_others(
    raw: Warehouse, gate: RunGate, tmp_path: Path
) -> None:
    path = tmp_path / "gate.html"
    for _ in range(2):
        run_id = gate("raw", sources={"files": SOURCES["files"]}).run_id
        quality.write_page(raw, path, run_id=run_id)
    assert str(run_id) in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_run_without_a_gate_has_no_page(warehouse: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No gate of run"):
        quality.write_page(warehouse, tmp_path / "gate.html", run_id=uuid.uuid4())
    assert list(tmp_path.iterdir()) == []
