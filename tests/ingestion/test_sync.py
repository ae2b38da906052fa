from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from file_sources import export, files, sync, write
from landing_records import fetch

from crmhouse.errors import (
    AlreadyRunningError,
    ConfigurationError,
    SyncFailedError,
)
from crmhouse.settings import Settings, SourceConfig
from ingestion.locks import hold_sources
from ingestion.readers import READERS
from ingestion.sources import connector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crmhouse.warehouse import Warehouse

CONTACT = "Id,FirstName,Email,SystemModstamp,IsDeleted\n"
SALESFORCE = "c,A,,2026-01-01T00:00:00Z,false\n"
SALESFORCE_BAD = "d,B,,yesterday,false\n"
HUBSPOT = '{"id": "1", "updatedAt": "2026-01-01T00:00:00Z"}\n'
MISFIT = "value_does_not_fit"
ORDER = '{{"id": {}, "updated_at": "2026-01-0{}T00:00:00Z", "total_price": "{}"}}\n'


def only(configured: tuple[Settings, SourceConfig], *streams: str) -> tuple[Settings, SourceConfig]:
    settings, source = configured
    return settings, source.model_copy(update={"streams": streams})


def test_batches_land_in_their_order_and_each_file_once(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    write(tmp_path, "batch_2/stripe/customers.jsonl", '{"id": "c", "created": 1, "name": "two"}')
    write(tmp_path, "batch_10/stripe/customers.jsonl", '{"id": "c", "created": 1, "name": "ten"}')
    first = sync(warehouse, export(tmp_path, "stripe", until="batch_2"))
    assert list(first) == ["batch_2/stripe/customers.jsonl"]
    second = sync(warehouse, export(tmp_path, "stripe"))
    assert list(second) == ["batch_10/stripe/customers.jsonl"]
    assert fetch(warehouse, "select name from raw_stripe.customers") == [("ten",)]
    assert sync(warehouse, export(tmp_path, "stripe")) == {}


def test_every_declared_table_exists_after_a_sync_of_an_empty_folder(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    assert sync(warehouse, export(tmp_path, "salesforce")) == {}
    assert fetch(
        warehouse, "select count(*), max(is_deleted::int) from raw_salesforce.contact"
    ) == [(0, None)]


def test_a_touched_file_is_not_read_again_and_a_changed_one_is(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    path = write(tmp_path, "a.csv", "id,v\n1,x\n")
    assert len(sync(warehouse, files(tmp_path))) == 1
    os.utime(path, (1, 1))
    assert sync(warehouse, files(tmp_path)) == {}
    write(tmp_path, "a.csv", "id,v\n1,y\n2,z\n")
    run = sync(warehouse, files(tmp_path))["a.csv"]
    assert (run.inserted, run.updated) == (1, 1)


def test_a_changed_old_file_does_not_bring_old_rows_back(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    write(tmp_path, "1.csv", "id,v\n1,old\n")
    write(tmp_path, "2.csv", "id,v\n1,new\n")
    sync(warehouse, files(tmp_path))
    write(tmp_path, "1.csv", "id,v\n1,old\n2,late\n")
    sync(warehouse, files(tmp_path))
    assert fetch(warehouse, "select id, v from raw_lists.things order by 1") == [
        ("1", "new"), ("2", "late"),
    ]  # fmt: skip


def test_a_stream_that_fails_does_not_stop_the_others_and_is_recorded(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    write(tmp_path, "batch_1/salesforce/Account.csv", "Id,Id\n1,2\n")
    write(tmp_path, "batch_1/salesforce/Contact.csv", CONTACT + SALESFORCE)
    with pytest.raises(SyncFailedError, match=r"salesforce\.account: .*names Id twice") as caught:
        sync(warehouse, export(tmp_path, "salesforce"))
    assert [run.stream for run in caught.value.runs] == ["contact"]
    recorded = fetch(
        warehouse, "select stream, status, error is null from ops.sync_runs order by 1"
    )
    assert recorded == [("account", "failed", False), ("contact", "succeeded", True)]
    write(tmp_path, "batch_1/salesforce/Account.csv", "Id,SystemModstamp\n1,2026-01-01T00:00:00Z\n")
    assert len(sync(warehouse, export(tmp_path, "salesforce"))) == 1


@pytest.mark.parametrize(
    ("file", "good", "poison", "reason"),
    [
        ("salesforce/Contact.csv", SALESFORCE, SALESFORCE_BAD, MISFIT),
        ("hubspot/contacts.jsonl", HUBSPOT, '{"id": null}\n', "missing_key"),
        (
            "stripe/charges.jsonl",
            '{"id": "a", "amount": 1}\n',
            '{"id": "b", "amount": "x"}\n',
            MISFIT,
        ),
        ("shopify/orders.jsonl", ORDER.format(1, 1, "1.0"), ORDER.format(2, 1, "1,0"), MISFIT),
    ],
)
def test_a_poisoned_record_of_each_source_is_quarantined_and_the_rest_lands(
    warehouse: Warehouse, tmp_path: Path, file: str, good: str, poison: str, reason: str
) -> None:
    system = file.split("/", maxsplit=1)[0]
    header = CONTACT if file.endswith("csv") else ""
    path = f"batch_1/{file}"
    write(tmp_path, path, header + poison + good)
    run = sync(warehouse, export(tmp_path, system))[path]
    assert (run.inserted, run.quarantined) == (1, 1)
    found = fetch(warehouse, "select source, stream, reason, payload from ops.quarantine")
    assert [row[:3] for row in found] == [(system, run.stream, reason)]
    assert len(found[0][3]) > 5


def test_a_record_that_was_repaired_is_held_back_no_longer(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    def held() -> list[tuple[object, ...]]:
        return fetch(
            warehouse, "select record_key, resolution from ops.quarantine order by record_key"
        )

    orders = "batch_1/shopify/orders.jsonl", "batch_2/shopify/orders.jsonl"
    good, bad = ORDER.format(1, 1, "5.00"), [ORDER.format(n, 1, "much") for n in (2, 3)]
    write(tmp_path, orders[0], good + "".join(bad))
    sync(warehouse, export(tmp_path, "shopify"))
    assert held() == [("2", None), ("3", None)]
    write(tmp_path, orders[1], ORDER.format(2, 2, "7.00"))  # the next delivery repairs one
    sync(warehouse, export(tmp_path, "shopify"))
    assert held() == [("2", "superseded"), ("3", None)]
    write(tmp_path, orders[0], good)  # the other is taken out of its file
    sync(warehouse, export(tmp_path, "shopify"))
    assert held() == [("2", "superseded"), ("3", "superseded")]
    write(tmp_path, orders[0], good + bad[1])  # and comes back as it was
    sync(warehouse, export(tmp_path, "shopify"))
    assert held() == [("2", "superseded"), ("3", None)]


def test_a_stream_without_any_file_is_named_in_the_log(
    warehouse: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "a.txt", "")
    assert sync(warehouse, files(tmp_path)) == {}
    assert "No file for stream" in caplog.text
    assert str(tmp_path) in caplog.text


def test_an_export_may_lack_what_not_every_one_has(
    warehouse: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "batch_1/shopify/orders.jsonl", ORDER.format(1, 1, "5.00"))
    configured = export(tmp_path, "shopify")
    where = f"{tmp_path}/batch_*/shopify/customers.csv, .jsonl or another known format"
    assert connector(*configured).check() == [f"No file for stream customers: looked for {where}."]
    assert sync(warehouse, configured).keys() == {"batch_1/shopify/orders.jsonl"}
    assert caplog.text.count("No file for stream") == 1
    with warehouse.connect() as connection:
        for table in ("products", "variants"):
            found = connection.execute(f"select count(*) from raw_shopify.{table}").fetchall()
            assert found == [(0,)]


def test_a_bad_file_that_was_taken_away_ends_the_failure(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    write(tmp_path, "a.csv", "id\n1\n")
    bad = write(tmp_path, "b.csv", 'id\n"2\n')
    for _ in range(2):
        with pytest.raises(SyncFailedError):
            sync(warehouse, files(tmp_path))
    bad.unlink()
    for _ in range(2):
        assert sync(warehouse, files(tmp_path)) == {}
    found = fetch(warehouse, "select slice, status from ops.sync_runs order by started_at")
    assert found == [("a.csv", "succeeded"), *[("b.csv", "failed")] * 2, ("-", "succeeded")]


def test_two_syncs_of_one_source_at_once_are_refused(warehouse: Warehouse, tmp_path: Path) -> None:
    configured = files(tmp_path)
    write(tmp_path, "a.csv", "id\n1\n")
    with warehouse.connect(autocommit=True) as other:
        other.execute("select pg_advisory_lock(hashtextextended('sync lists', 0))")
        with pytest.raises(AlreadyRunningError, match="syncing lists"):
            sync(warehouse, configured)
    # The server notices a moment later that the other one has gone.
    assert len(sync(warehouse, configured, patience=30)) == 1


def test_a_sync_with_patience_waits_for_whoever_holds_its_source(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = files(tmp_path)
    write(tmp_path, "a.csv", "id\n1\n")
    with ThreadPoolExecutor() as pool:
        with hold_sources(warehouse, ["others", "lists"]):
            with pytest.raises(AlreadyRunningError, match="syncing lists, or builds"):
                sync(warehouse, configured, patience=0.2)
            waiting = pool.submit(sync, warehouse, configured, patience=60)
            waits = "select count(*) > 0 from pg_locks where locktype = 'advisory' and not granted"
            while not fetch(warehouse, waits)[0][0]:
                time.sleep(0.01)
        assert list(waiting.result()) == ["a.csv"]


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda f: export(f, "stripe", untill="batch_1"), "untill"),
        (lambda f: files(f, columns={"n": "float"}), "unknown column type float"),
        (lambda f: files(f, key=[]), "key"),
        (
            lambda _: (Settings(), SourceConfig(name="x", kind="telepathy")),
            "Known kinds: database, files",
        ),
        (lambda f: only(export(f, "stripe"), "n"), "It has: balance_transactions, charges"),
    ],
)
def test_a_faulty_configuration_says_what_is_wrong(
    tmp_path: Path, build: Callable[[Path], tuple[Settings, SourceConfig]], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        connector(*build(tmp_path))


def test_check_names_the_missing_folder_and_files(tmp_path: Path) -> None:
    assert "does not exist" in connector(*export(tmp_path / "none", "stripe")).check()[0]
    problems = connector(*export(tmp_path, "stripe")).check()
    assert len(problems) == 4
    assert "batch_*/stripe/charges.csv" in problems[-1]


def test_every_format_of_the_readers_is_found_in_an_export(tmp_path: Path) -> None:
    for ending in READERS:
        write(tmp_path, f"batch_1/stripe/charges{ending}", b"")
    reader = connector(*export(tmp_path, "stripe"))
    charges = next(stream for stream in reader.streams() if stream.name == "charges")
    assert len(list(reader.slices(charges, {}))) == len(READERS)
