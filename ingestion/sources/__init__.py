"""Sources: the kinds that can be configured, and the connector of a configured one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from crmhouse.errors import ConfigurationError
from crmhouse.warehouse import open_warehouse
from ingestion.sources import exports, files
from ingestion.sources.connector import Given
from ingestion.sources.databases.options import DatabaseOptions
from ingestion.sources.hubspot.options import HubSpotOptions
from ingestion.sources.salesforce.options import SalesforceOptions
from ingestion.sources.salesforce.streams import STREAMS as SALESFORCE_STREAMS
from ingestion.sources.shopify import ShopifyOptions
from ingestion.sources.shopify.streams import API_STREAMS as SHOPIFY_STREAMS
from ingestion.sources.stripe.options import StripeOptions
from ingestion.sources.stripe.streams import API_STREAMS as STRIPE_STREAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crmhouse.settings import Settings, SourceConfig
    from ingestion.sources.connector import Connector
    from ingestion.streams import Stream

_UNKNOWN = "there is no such option; `crmhouse sources --kinds` lists them"


@dataclass(frozen=True)
class Kind:
    """A kind of source.

    Attributes:
        description: one line for people.
        system: the system whose records it delivers: what the marts call `source_system`.
        options: the model that checks its options.
        build: makes the connector of a source.
        streams: what it delivers, where that is the same for every source of the kind.
    """

    description: str
    system: str
    options: type[BaseModel]
    build: Callable[[Mapping[str, Any], Given], Connector]
    streams: tuple[Stream, ...] = ()


def _later(folder: str) -> Callable[[Mapping[str, Any], Given], Connector]:
    """Import a connector when it is built: no other source waits for what it needs."""

    def build(options: Mapping[str, Any], given: Given) -> Connector:
        module = import_module(f"ingestion.sources.{folder}.connector")
        built: Connector = module.build(options, given)
        return built

    return build


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "database": Kind(
            "tables and views of a SQL database", "database", DatabaseOptions, _later("databases")
        ),
        "files": Kind(
            "CSV, JSON, Parquet or Excel files", "files", files.FilesOptions, files.build
        ),
        "hubspot": Kind(
            "a HubSpot account, over its API", "hubspot", HubSpotOptions, _later("hubspot")
        ),
        "salesforce": Kind(
            "an org of Salesforce, over its APIs", "salesforce", SalesforceOptions,
            _later("salesforce"), SALESFORCE_STREAMS,
        ),
        "shopify": Kind(
            "a shop, by Shopify's GraphQL Admin API", "shopify", ShopifyOptions,
            _later("shopify"), SHOPIFY_STREAMS,
        ),
        "stripe": Kind(
            "a Stripe account, over its API", "stripe", StripeOptions,
            _later("stripe"), STRIPE_STREAMS,
        ),
        **{
            f"{system}_export": Kind(
                f"a folder of {system.capitalize()} exports, batch after batch",
                system,
                exports.ExportOptions,
                partial(exports.build, system),
                streams,
            )
            for system, streams in exports.SYSTEMS.items()
        },
    }
)  # fmt: skip


def kind_of(source: SourceConfig) -> Kind:
    """Return the kind of a configured source.

    Raises:
        ConfigurationError: there is no such kind.
    """
    if source.kind not in KINDS:
        raise ConfigurationError(
            f"Source {source.name}: there is no kind {source.kind!r}. "
            f"Known kinds: {', '.join(sorted(KINDS))}."
        )
    return KINDS[source.kind]


def connector(settings: Settings, source: SourceConfig) -> Connector:
    """Return the connector of a configured source, restricted to its configured streams.

    Raises:
        ConfigurationError: the kind, an option or a stream is not known, or a variable that an
            option refers to is not set; says which and what is.
    """
    kind = kind_of(source)
    given = Given(
        name=source.name,
        base=settings.config_file.parent if settings.config_file else Path.cwd(),
        batch_rows=settings.batch_rows,
        warehouse=partial(open_warehouse, settings),
    )
    try:
        built = kind.build(source.opened(), given)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'options'}: "
            + (_UNKNOWN if fault["type"] == "extra_forbidden" else fault["msg"])
            for fault in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(f"Source {source.name}, options: {faults}.") from None
    if source.streams is None:
        return built
    known = {stream.name for stream in built.streams()}
    if unknown := sorted(set(source.streams) - known):
        raise ConfigurationError(
            f"Source {source.name} has no stream {', '.join(unknown)}. "
            f"It has: {', '.join(sorted(known))}."
        )
    return built.only(source.streams)
