"""What the answers of the API are taken for."""

from __future__ import annotations

import time
from email.utils import formatdate

import httpx
import pytest

from ingestion.sources.stripe.answers import Clock, judge

ERROR = {"message": "No such customer: 'cus_1' of a@b.example", "type": "invalid_request_error"}


@pytest.mark.parametrize(
    ("status", "error", "headers", "does"),
    [
        (200, {}, {}, "accept"),
        (404, {"code": "resource_missing"}, {}, "accept"),
        (400, {"code": "resource_missing", "param": "starting_after"}, {}, "accept"),
        (404, {}, {}, "refuse"),
        (400, {"code": "parameter_unknown", "param": "status"}, {}, "refuse"),
        (401, {"code": "api_key_expired"}, {}, "refuse"),
        (403, {}, {}, "refuse"),
        (409, {"code": "lock_timeout"}, {}, "retry"),
        (429, {"code": "rate_limit"}, {"Stripe-Should-Retry": "false"}, "retry"),
        (402, {}, {"Stripe-Should-Retry": "true"}, "retry"),
        (500, {"type": "api_error"}, {}, "retry"),
        (503, {"type": "api_error"}, {}, "retry"),
    ],
)
def test_answers_are_judged_by_what_they_say(
    status: int, error: dict[str, str], headers: dict[str, str], does: str
) -> None:
    body = {"data": []} if status == 200 else {"error": ERROR | error}
    verdict = judge(httpx.Response(status, json=body, headers=headers))
    assert verdict.does == does
    assert "cus_1" not in verdict.why + verdict.help


@pytest.mark.parametrize("status", [200, 404])
def test_a_page_of_something_else_is_no_answer(status: int) -> None:
    verdict = judge(httpx.Response(status, html="<html>"))
    assert (verdict.does, "option url" in verdict.help) == ("refuse", True)


def test_a_gateway_that_fails_is_asked_again() -> None:
    assert judge(httpx.Response(502, html="<html>")).does == "retry"


@pytest.mark.parametrize("behind", [-1200, 0, 1200])
def test_time_is_told_by_the_clock_of_stripe(behind: int) -> None:
    clock, now = Clock(), time.time()
    date = formatdate(now - behind, usegmt=True)
    clock.judge(httpx.Response(200, json={}, headers={"Date": date}))
    assert -2 <= clock.second(now) - (now - behind) <= 0.5


def test_without_a_date_our_own_clock_counts() -> None:
    clock = Clock()
    clock.judge(httpx.Response(200, json={}, headers={"Date": "soon"}))
    clock.judge(httpx.Response(200, json={}))
    assert clock.second(1000.5) == 1000
