"""The systems that have a stand-in, by the name of their folder in a batch."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from simulators.hubspot import HubSpot
from simulators.salesforce import Salesforce
from simulators.shopify import Shopify
from simulators.stripe import Stripe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.server import System

SYSTEMS: Mapping[str, type[System]] = MappingProxyType(
    {"salesforce": Salesforce, "shopify": Shopify, "hubspot": HubSpot, "stripe": Stripe}
)
