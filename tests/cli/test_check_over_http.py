"""`crmhouse check` of the APIs: what is wrong, in words that help, and nothing that is secret."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from command_line import Cli, clean_environment
from project import KEYS, SYSTEMS
from stand_in import standing_in

from simulators import systems
from simulators.hubspot import CONTACTS_ONLY_TOKEN
from simulators.shopify import Shopify
from simulators.shopify.system import SCOPES
from simulators.stripe import Stripe

if TYPE_CHECKING:
    from pathlib import Path

    from crmhouse.warehouse import Warehouse

pytestmark = pytest.mark.xdist_group("check over HTTP")

OFFLINE = ("unshare", "--net", *(["--map-root-user"] if os.geteuid() else []))
OPTION = {
    "salesforce": "client_secret", "hubspot": "token", "stripe": "api_key",
    "shopify": "access_token",
}  # fmt: skip
RIGHT = {system: KEYS[f"STAND_IN_{system}_{OPTION[system]}".upper()] for system in SYSTEMS}
WRONG = {
    "salesforce": "wrong-zq7", "hubspot": "pat-na1-zq7",
    "stripe": "sk_test_zq7", "shopify": "shpat_wrong_zq7",
}  # fmt: skip
LESS = {
    **RIGHT,
    "hubspot": CONTACTS_ONLY_TOKEN,
    "stripe": "rk_less_zq7",
    "shopify": "shpat_less_zq7",
}
STREAMS = {"hubspot": ["contacts", "deals"], "stripe": ["customers", "invoices"]}
# What is wrong, and what to do.
SAID = {
    "wrong key": {
        "salesforce": ("400 invalid_client", "The consumer secret is wrong: see client_secret."),
        "hubspot": ("401 INVALID_AUTHENTICATION", "See that the token is that of a private app"),
        "stripe": ("401", "Set the option api_key to one that is valid"),
        "shopify": ("401", "create one for the app and configure it as access_token."),
    },
    "missing scope": {
        "salesforce": ("403 API_DISABLED_FOR_ORG", "Give the user the permission API Enabled"),
        "hubspot": ("403 MISSING_SCOPES", "Give the app the scope that is missing: crm.objects."),
        "stripe": ("lacks the permission rak_invoice_read", "give it read access in Stripe's"),
        "shopify": ("lacks the scope read_customers", "Add it to the app and install the app anew"),
    },
    "wrong host": {
        "salesforce": ("This host gives out no tokens", "see that url is the org's My Domain."),
        "hubspot": ("That is not how HubSpot answers", "see that the option url is right."),
        "stripe": ("That is not how Stripe answers", "see that the option url is right."),
        "shopify": ("There is no such shop", "see that shop and version are right."),
    },
    "no network": dict.fromkeys(SYSTEMS, ("the host cannot be reached", "is there a network? ")),
}  # fmt: skip

Said = dict[str, dict[str, list[str]]]


@pytest.fixture(scope="module")
def said(
    exports: Path, tmp_path_factory: pytest.TempPathFactory, module_warehouse: Warehouse
) -> Said:
    """What the check says of each source, by what is wrong."""
    home = tmp_path_factory.mktemp("check")
    cli = Cli(home, {**clean_environment(), "CRMHOUSE_WAREHOUSE_URL": module_warehouse.url()})
    with standing_in(exports, home, systems.SYSTEMS) as apis:
        stripe, shopify = (apis.simulator.systems[name] for name in ("stripe", "shopify"))
        assert isinstance(stripe, Stripe)
        assert isinstance(shopify, Shopify)
        stripe.access.keys[LESS["stripe"]] = frozenset({"rak_customer_read", "rak_event_read"})
        shopify.tokens[LESS["shopify"]] = SCOPES - {"read_customers"}

        def check(keys: dict[str, str], *before: str, place: str = "", code: int = 2) -> Any:
            cli.configure(sources=[
                {
                    "name": system, "kind": system, "streams": STREAMS.get(system),
                    "options": {
                        "url": f"{apis.url}/{place or system}",
                        OPTION[system]: f"${{KEY_{system.upper()}}}",
                        **({"client_id": "key"} if system == "salesforce" else {}),
                    },
                } for system in SYSTEMS
            ])  # fmt: skip
            secrets = {f"KEY_{system.upper()}": key for system, key in keys.items()}
            result = cli.call("check", "--format", "json", before=before, **secrets)
            assert result.returncode == code, result.stderr
            for key in (*keys.values(), "zq7"):
                assert key not in result.stdout + result.stderr
            problems: dict[str, list[str]] = {system: [] for system in SYSTEMS}
            for one in json.loads(result.stdout):
                if one["outcome"] == "problem" and one["area"] == "sources":
                    problems[one["about"]].append(one["detail"])
            return problems

        found = {
            "nothing": check(RIGHT, code=0),
            "wrong key": check(WRONG),
            "wrong host": check(RIGHT, place="elsewhere"),
        }
        apis.fault("status", path="describe|composite", status=403, code="API_DISABLED_FOR_ORG")
        found["missing scope"] = check(LESS)
        apis.heal()
        if subprocess.run([*OFFLINE, "true"], capture_output=True, check=False).returncode == 0:
            found["no network"] = check(RIGHT, *OFFLINE)
    return found


@pytest.mark.parametrize("system", SYSTEMS)
def test_nothing_is_said_of_an_account_that_can_be_read(said: Said, system: str) -> None:
    assert said["nothing"][system] == []


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("cause", SAID)
def test_each_cause_has_a_message_of_its_own_that_says_what_to_do(
    said: Said, cause: str, system: str
) -> None:
    if cause not in said:
        pytest.skip("this machine does not let a process be without a network")
    (problem,) = said[cause][system]
    what, advice = SAID[cause][system]
    assert what in problem
    assert advice in problem
    assert system in problem.partition(" answered ")[0]
    others = {text for other in said if other != cause for text in said[other][system]}
    assert problem not in others
