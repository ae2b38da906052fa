"""What stays the same from run to run, and what is written when it does not."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identity_input import Identities, person, reference

from crmhouse.errors import RunFailedError
from identity.resolve import Resolution, resolve

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

NORA = {"first_name": "Nora", "last_name": "Patel"}
MAIL, OTHER = "nora.patel@mail.example", "npatel@inbox.example"
FIRST = person("salesforce", "first", email=MAIL, **NORA)
SECOND = person("hubspot", "second", email=OTHER, **NORA)
THIRD = person("hubspot", "third", email=OTHER, **NORA)
BRIDGE = person("stripe", "bridge", email=OTHER, full_name="Nora Patel")
STATEMENT = reference(BRIDGE, FIRST, "stripe_crm_contact_id")


def test_a_second_run_with_nothing_new_touches_no_row(identities: Identities) -> None:
    identities.deliver([FIRST, SECOND, THIRD, BRIDGE], [STATEMENT])
    first = identities.resolve()
    before = identities.row_versions()
    second = identities.resolve()
    assert identities.row_versions() == before
    assert (first.new_customers, first.customer_links_changed) == (1, 4)
    assert second == Resolution(
        records=4, customers=1, new_customers=0, merged_customers=0, split_customers=0,
        customer_links_changed=0, customer_edges_changed=0,
        account_records=0, accounts=0, new_accounts=0, merged_accounts=0, split_accounts=0,
        account_links_changed=0, account_edges_changed=0,
    )  # fmt: skip


def test_a_customer_keeps_its_id_when_records_join_it_even_older_ones(
    identities: Identities,
) -> None:
    identities.deliver([SECOND])
    identities.resolve()
    before = identities.ids()["second"]
    identities.deliver([SECOND, THIRD, {**FIRST, "email": OTHER}])
    identities.resolve()
    assert set(identities.ids().values()) == {before}


def test_only_the_rows_of_what_changed_are_written(identities: Identities) -> None:
    stranger = person("shopify", "stranger", email="ben@mail.example")
    identities.deliver([FIRST, stranger])
    identities.resolve()
    query = "select source_id, xmin::text from identity.customer_links"
    before = dict(identities.rows(query))
    identities.deliver([FIRST, stranger, {**SECOND, "email": MAIL}])
    resolution = identities.resolve()
    after = dict(identities.rows(query))
    assert after["stranger"] == before["stranger"]
    assert after["first"] != before["first"]  # no longer single
    assert resolution.customer_links_changed == 2


def test_when_customers_merge_the_older_id_survives_and_the_other_is_recorded(
    identities: Identities,
) -> None:
    identities.deliver([FIRST, SECOND, THIRD])
    identities.resolve()
    before = identities.ids()
    identities.deliver([FIRST, SECOND, THIRD, BRIDGE], [STATEMENT])
    resolution = identities.resolve()
    assert (resolution.merged_customers, resolution.new_customers) == (1, 0)
    assert set(identities.ids().values()) == {before["first"]}
    merges = identities.rows("select retired_id, surviving_id from identity.customer_merges")
    assert merges == [(before["second"], before["first"])]
    assert identities.rows("select * from identity.customer_aliases") == merges
    moves = identities.rows(
        "select source_id, from_customer_id, to_customer_id from identity.customer_moves order by 1"
    )
    assert moves == [(key, before["second"], before["first"]) for key in ("second", "third")]


def test_when_the_reason_of_a_merge_goes_the_split_is_recorded_and_the_old_id_returns(
    identities: Identities,
) -> None:
    identities.deliver([FIRST, SECOND, BRIDGE])
    identities.resolve()
    before = identities.ids()
    identities.deliver([FIRST, SECOND, BRIDGE], [STATEMENT])
    identities.resolve()
    identities.deliver([FIRST, SECOND, BRIDGE])
    resolution = identities.resolve()
    # Two records of three keep the surviving id, which was the single one's.
    assert (resolution.split_customers, resolution.merged_customers) == (1, 0)
    after = identities.ids()
    assert after["second"] == after["bridge"] == before["first"]
    assert after["first"] not in before.values()
    splits = identities.rows(
        "select customer_id, split_off_id, records from identity.customer_splits"
    )
    assert splits == [(before["first"], after["first"], 1)]
    assert identities.rows("select * from identity.customer_aliases") == [
        (before["second"], before["first"])
    ]


def test_a_customer_whose_merge_is_undone_has_its_own_id_again(identities: Identities) -> None:
    older = [FIRST, {**THIRD, "email": MAIL}]
    identities.deliver([*older, BRIDGE])
    identities.resolve()
    before = identities.ids()
    identities.deliver([*older, BRIDGE], [STATEMENT])
    identities.resolve()
    assert set(identities.ids().values()) == {before["first"]}
    identities.deliver([*older, BRIDGE])
    identities.resolve()
    assert identities.ids() == before
    assert identities.rows("select * from identity.customer_aliases") == []
    assert len(identities.rows("select * from identity.customers")) == 2


def test_a_record_that_leaves_and_returns_has_its_customer_again(identities: Identities) -> None:
    identities.deliver([SECOND])
    identities.resolve()
    before = identities.ids()["second"]
    identities.deliver([SECOND, {**FIRST, "email": OTHER}])
    identities.resolve()
    identities.deliver([])
    assert identities.resolve().customers == 0
    assert len(identities.rows("select * from identity.customer_former_links")) == 2
    identities.deliver([{**FIRST, "email": OTHER}])
    assert identities.resolve().new_customers == 0
    assert identities.ids() == {"first": before}
    assert len(identities.rows("select * from identity.customer_former_links")) == 1


def test_a_record_that_returns_after_its_customer_merged_joins_the_survivor(
    identities: Identities,
) -> None:
    lone = person("shopify", "lone", email=OTHER, **NORA)
    identities.deliver([FIRST, SECOND, lone])
    identities.resolve()
    survivor = identities.ids()["first"]
    identities.deliver([FIRST, SECOND, BRIDGE], [STATEMENT])
    identities.resolve()
    identities.deliver([FIRST, {**lone, "email": None}])
    identities.resolve()
    assert identities.rows("select count(*) from identity.customers") == [(3,)]
    identities.deliver([FIRST, SECOND, BRIDGE, lone], [STATEMENT])
    identities.resolve()
    assert set(identities.ids().values()) == {survivor}


def test_a_run_that_is_rolled_back_leaves_nothing_and_the_next_makes_the_same_ids(
    identities: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    identities.deliver([FIRST, SECOND, BRIDGE])
    identities.resolve()
    expected = identities.ids()
    identities.forget()

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("identity.resolve.write_edges", killed)
        with pytest.raises(KeyboardInterrupt):
            identities.resolve()
    assert identities.rows("select * from identity.customers") == []
    identities.resolve()
    assert identities.ids() == expected


def test_two_runs_at_once_do_not_interleave(identities: Identities) -> None:
    identities.deliver([FIRST, SECOND, BRIDGE], [STATEMENT])
    found: list[Resolution] = []
    threads = [
        threading.Thread(target=lambda: found.append(identities.resolve())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(resolution.new_customers for resolution in found) == [0, 0, 0, 1]


def test_without_the_views_the_error_says_what_builds_them(warehouse: Warehouse) -> None:
    with pytest.raises(RunFailedError, match=r"intermediate\.int_account_records.*dbt build"):
        resolve(warehouse, run_id=uuid.uuid4())


NAMES = [("Nora", "Patel"), ("N.", "Patel"), ("Ben", "Patel"), (None, None)]
RECORDS = st.lists(
    st.builds(
        lambda source, name, email, phone, month: {
            "source": source,
            "first_name": name[0],
            "last_name": name[1],
            "email": email,
            "phone": phone,
            "created_at": month,
        },
        st.sampled_from(["salesforce", "hubspot"]),
        st.sampled_from(NAMES),
        st.sampled_from([MAIL, OTHER, None]),
        st.sampled_from(["9475550197", "+1 947 555 0198", None]),
        st.sampled_from(["2026-01-01Z", "2026-02-01Z", None]),
    ),
    max_size=8,
)


@settings(max_examples=8, deadline=None)
@given(RECORDS, st.randoms(use_true_random=False))
def test_neither_the_order_of_rows_nor_a_rebuild_changes_an_id(
    module_identities: Identities, records: list[dict[str, Any]], random: Any
) -> None:
    rows = [person(**{**fields, "key": str(n)}) for n, fields in enumerate(records)]
    outcomes = []
    for batch in (rows, random.sample(rows, len(rows))):
        module_identities.forget()
        module_identities.deliver(batch)
        module_identities.resolve()
        outcomes.append(module_identities.links())
        assert module_identities.resolve().customer_links_changed == 0
    assert outcomes[0] == outcomes[1]
