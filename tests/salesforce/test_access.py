# ruff: noqa: S105, S106  # secrets of the stand-in, which guards nothing
"""Getting in: three flows, tokens that are replaced, and what is said of what is wrong."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from crmhouse.errors import ConfigurationError, SyncFailedError
from ingestion.refresh_tokens import RefreshTokens
from ingestion.sources import connector

if TYPE_CHECKING:
    from salesforce_org import Org


def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def check(org: Org, **options: Any) -> list[str]:
    return connector(*org.configured(**options)).check()


def test_a_signed_assertion_logs_in_and_one_of_another_key_does_not(org: Org) -> None:
    good, bad = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    numbers = good.public_key().public_numbers()
    org.system.tokens.public_key = (numbers.n, numbers.e)
    options = {"username": "reader@example.com", "client_secret": None}
    assert check(org, private_key=pem(good), **options) == []
    [problem] = check(org, private_key=pem(bad), **options)
    assert "invalid_grant" in problem
    assert "certificate" in problem
    other = {**options, "username": "nobody@example.com"}
    [problem] = check(org, private_key=pem(good), **other)
    assert "invalid_grant" in problem
    [problem] = check(org, private_key="no key", **options)
    assert "private_key is not an RSA key" in problem


def test_a_refresh_token_that_is_replaced_at_each_use_is_kept(org: Org) -> None:
    org.system.tokens.rotates = True
    for _ in range(3):
        org.sync(refresh_token="refresh-1")
    assert len(org.raw("id")) == 25
    with org.warehouse.connect() as connection:
        [(kept,)] = connection.execute("select token from ops.refresh_tokens").fetchall()
    newest = org.system.tokens.refresh_token
    assert newest not in kept
    assert (
        RefreshTokens(lambda: nullcontext(org.warehouse), "sf", ("secret", "refresh-1")).load()
        == newest
    )


def test_a_refresh_token_that_is_configured_anew_wins_over_the_one_that_was_kept(org: Org) -> None:
    org.system.tokens.rotates = True
    org.sync(refresh_token="refresh-1")
    org.system.tokens.refresh_token = "given-anew"
    org.sync(refresh_token="given-anew")
    assert org.system.tokens.refresh_token != "given-anew"


def test_each_thing_that_may_be_wrong_is_told_differently(org: Org) -> None:
    told = {
        "consumer key": check(org, client_id="other"),
        "refresh token": check(org, refresh_token="dead"),
        "no such host|looked up": check(org, url="https://nowhere.invalid"),
        "nothing listens there": check(org, url="http://127.0.0.1:1"),
        "Object Nothing__c: .* no such object": check(org, objects=["Account", "Nothing__c"]),
    }
    for pattern, problems in told.items():
        [problem] = problems
        assert re.search(pattern, problem), problem


def test_an_object_that_may_not_be_read_does_not_stop_the_others(org: Org) -> None:
    with pytest.raises(SyncFailedError, match="Nothing__c") as caught:
        org.sync(objects=["Nothing__c", "Account"])
    assert len(caught.value.causes) == 1
    assert len(org.raw("id")) == 25


def test_of_an_org_that_answers_nothing_the_check_says_it_once(org: Org) -> None:
    objects = {"objects": ["Account", "Contact", "Lead"]}
    [problem] = check(org, client_secret="other", **objects)
    assert "Object" not in problem
    org.stand_in.fault(
        "status", path="describe|composite", status=403, code="API_CURRENTLY_DISABLED"
    )
    assert len(check(org, **objects)) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "https://login.salesforce.com"}, "My Domain"),
        ({"url": "http://acme.my.salesforce.com"}, "https"),
        ({"client_secret": None}, "give client_secret"),
        ({"private_key": "k"}, "needs the username"),
        ({"private_key": "k", "username": "u", "refresh_token": "t"}, "either"),
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_is_asked(
    org: Org, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        connector(*org.configured(**options))


def test_a_stand_in_in_the_same_private_network_may_be_asked_without_tls(org: Org) -> None:
    connector(*org.configured(url="http://crmhouse-simulators:8765/salesforce"))


def test_no_secret_and_no_value_gets_into_log_or_errors(
    org: Org, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "ingestion")
    org.stand_in.fault("status", path="query", share=0.5, times=5)
    org.stand_in.fault("token_expired", share=0.2)
    secrets = {"client_secret": "s3cret-of-app", "refresh_token": "refresh-1"}
    org.system.tokens.client_secret = secrets["client_secret"]
    org.sync(**secrets)
    org.system.tokens.client_secret = "changed"
    with pytest.raises(SyncFailedError) as caught:
        org.sync(**secrets)
    source = connector(*org.configured(**secrets))
    said = f"{caught.value}\n{caplog.text}\n{source!r}"
    for secret in (*secrets.values(), "00DSIM!", "Name 1"):
        assert secret not in said
