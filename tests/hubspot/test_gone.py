"""Records that are archived, merged or purged, and associations that change alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubspot_account import at, pair, record

from ingestion.stream_sync import Asked

if TYPE_CHECKING:
    from collections.abc import Callable

    from hubspot_account import Account

    Of = Callable[..., Account]

THREE = [record(n) for n in (1, 2, 3)]
PAIRS = {"streams": ["contact_company"], "objects": ["contacts", "companies"]}


def test_an_archived_record_arrives_as_a_tombstone_though_its_time_of_change_stays(of: Of) -> None:
    # https://github.com/airbytehq/airbyte/issues/19838
    gone = record(2, at(2), archived=True, archivedAt=at(30, day=4))
    made = of({"contacts": THREE}, {"contacts": [gone]})
    made.sync()
    made.running.advance()
    made.sync(archived_every_hours=1)
    assert made.alive() == [1, 2, 3], "the list of archived records was read an hour ago"
    made.sync(archived_every_hours=0)
    assert made.alive() == [1, 3]
    [(archived, deleted)] = made.raw("archived, _deleted_at = archived_at", where="id = '2'")
    assert (archived, deleted) == (True, True)


def test_a_record_that_comes_back_and_changes_is_there_again(of: Of) -> None:
    gone = record(2, at(2), archived=True, archivedAt=at(30, day=4))
    made = of({"contacts": [*THREE[:1], gone]}, {"contacts": [record(2, at(1, day=5))]})
    made.sync()
    assert made.alive() == [1]
    made.running.advance()
    made.sync()
    assert made.alive() == [1, 2]


def test_merged_contacts_are_there_once_and_the_winner_names_the_others(of: Of) -> None:
    # https://github.com/fivetran/dbt_hubspot/issues/46
    winner = record(1, at(9), hs_merged_object_ids="2;3")
    made = of({"contacts": THREE}, {"contacts": [winner]})
    made.sync()
    made.running.advance()
    runs = made.sync()
    assert [run.slice for run in runs] == ["changes", "merged", "archived"]
    assert made.alive() == [1]
    [(merged,)] = made.raw("property_hs_merged_object_ids", where="id = '1'")
    assert merged == "2;3"
    assert [run.slice for run in made.sync()] == ["changes", "archived"]
    made.sync(asked=Asked(everything=True))
    assert made.alive() == [1]


def test_a_purged_record_is_found_missing_when_all_ids_are_read(of: Of) -> None:
    # https://github.com/airbytehq/airbyte/issues/35017
    made = of({"contacts": THREE}, {"contacts": [record(3, purged=True)]})
    made.sync()
    made.running.advance()
    made.sync()
    assert made.alive() == [1, 2, 3], "all ids are read once a day"
    made.sync(sweep_every_hours=0)
    assert made.alive() == [1, 2]


def test_associations_do_not_go_stale_though_no_record_has_changed(of: Of) -> None:
    # https://github.com/airbytehq/airbyte/issues/14390
    companies = [record(n) for n in (8, 9)]
    gone = {**pair(1, 8), "archived": True}
    made = of(
        {"contacts": THREE, "companies": companies,
         "associations": [pair(1, 8), pair(2, 9, "Boss", "Buyer")]},
        {"associations": [gone, pair(3, 9, "Buyer")]},
    )  # fmt: skip
    made.sync(**PAIRS)
    columns = "from_id, to_id, category, type_id, label"
    alive = {"table": "contact_company", "where": "_deleted_at is null"}
    usual = ("HUBSPOT_DEFINED", 279, None)
    boss, buyer = ("USER_DEFINED", 30, "Boss"), ("USER_DEFINED", 31, "Buyer")
    assert sorted(made.raw(columns, **alive), key=str) == sorted(
        [("1", "8", *usual), ("2", "9", *usual), ("2", "9", *boss), ("2", "9", *buyer)], key=str
    )
    made.running.advance()
    made.sync(**PAIRS, associations_every_hours=0)
    assert {(a, b) for a, b, *_ in made.raw(columns, **alive)} == {("2", "9"), ("3", "9")}


def test_associations_of_a_changed_record_do_not_wait_until_all_are_read(of: Of) -> None:
    # https://github.com/airbytehq/airbyte/issues/27199
    made = of(
        {"contacts": THREE, "companies": [record(8)], "associations": [pair(1, 8)]},
        {"contacts": [record(2, at(50))], "associations": [pair(2, 8, "Boss")]},
    )
    made.sync(**PAIRS)
    made.running.advance()
    [run] = made.sync(**PAIRS)
    assert (run.slice, run.inserted) == ("changes", 2)


def test_associations_do_not_ask_again_which_records_there_are_or_have_changed(of: Of) -> None:
    made = of(
        {"contacts": THREE, "companies": [record(8)], "associations": [pair(1, 8)]},
        {"contacts": [record(2, at(50))], "associations": [pair(2, 8, "Boss")]},
    )
    options = {"streams": ["contacts", "contact_company"], "objects": ["contacts", "companies"],
               "archived_every_hours": None}  # fmt: skip
    made.sync(**options)
    asked = made.running.requests()
    assert asked["GET /hubspot/crm/v3/objects/contacts"] == 1
    made.running.advance()
    runs = made.sync(**options)
    asked = made.running.requests()
    assert asked["POST /hubspot/crm/v3/objects/contacts/search"] == 1
    assert [(run.stream, run.inserted) for run in runs if run.inserted] == [("contact_company", 2)]


def test_a_record_with_more_associations_than_a_page_has_is_read_to_its_end(of: Of) -> None:
    pairs = [pair(1, n) for n in range(10, 45)] + [pair(2, 10)]
    companies = [record(n) for n in range(10, 45)]
    made = of({"contacts": THREE, "companies": companies, "associations": pairs})
    made.service.associations.page = 10
    made.sync(**PAIRS)
    found = made.raw("to_id::bigint", "contact_company", "from_id = '1'")
    assert [n for (n,) in found] == [*range(10, 45)]


def test_owners_and_pipelines_are_read_whole(of: Of) -> None:
    frame = {"createdAt": at(1), "updatedAt": at(1)}
    owners = [{"id": str(n), "email": f"{n}@acme.example", "archived": n == 2, **frame}
              for n in range(1, 151)]  # fmt: skip
    pipeline = {"id": "default", "objectType": "deals", "label": "Sales", "displayOrder": 0,
                "archived": False, "stages": [{"id": "won"}], **frame}  # fmt: skip
    made = of(
        {"owners": owners, "pipelines": [pipeline]}, {"owners": [{**owners[4], "archived": True}]}
    )
    chosen = {"objects": ["deals"], "streams": ["owners", "pipelines"]}
    made.sync(**chosen)
    assert len(made.raw("id", "owners", "_deleted_at is null")) == 149
    assert made.raw("object_type, id, stages", "pipelines") == [
        ("deals", "default", [{"id": "won"}])
    ]
    made.running.advance()
    made.sync(**chosen)
    assert made.raw("id::bigint", "owners", "_deleted_at is not null") == [(2,), (5,)]
