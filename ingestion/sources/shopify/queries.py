"""The queries that are sent, and nothing else is: a test checks each against the schema."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROWS_AT_ONCE = 250
LINES_AT_ONCE = 50
REFUNDS_AT_ONCE, REFUND_LINES_AT_ONCE = 5, 10
_LINES_WITH_ORDER = 10

_MONEY = "{ shopMoney { amount currencyCode } presentmentMoney { amount currencyCode } }"
_LINE = f"""
id sku title quantity
product {{ id }}
variant {{ id }}
originalUnitPriceSet {_MONEY}
totalDiscountSet {_MONEY}
"""
_CUSTOMER = """
id legacyResourceId firstName lastName note numberOfOrders tags verifiedEmail createdAt updatedAt
defaultEmailAddress { emailAddress }
defaultPhoneNumber { phoneNumber }
defaultAddress { address1 address2 city company provinceCode countryCodeV2 zip }
"""
_ORDER = f"""
id legacyResourceId name email note tags test sourceName
createdAt updatedAt processedAt cancelledAt closedAt cancelReason
currencyCode presentmentCurrencyCode displayFinancialStatus displayFulfillmentStatus
customer {{ id }}
subtotalPriceSet {_MONEY}
totalShippingPriceSet {_MONEY}
totalTaxSet {_MONEY}
totalPriceSet {_MONEY}
totalDiscountsSet {_MONEY}
refunds {{ legacyResourceId createdAt totalRefundedSet {_MONEY} }}
transactions {{ id kind status gateway createdAt processedAt amountSet {_MONEY} }}
fulfillments {{ legacyResourceId status createdAt updatedAt }}
"""
_PRODUCT = "id legacyResourceId title handle vendor productType status tags createdAt updatedAt"
_VARIANT = """
id legacyResourceId title sku barcode price createdAt updatedAt
product { id }
"""


@dataclass(frozen=True)
class Object:
    """What is asked of an object.

    Attributes:
        field: the entry of the API.
        sort: the order of its pages: by the time of change where the API can.
        plain: the fields that a page and a bulk operation have in common.
        nested: further fields of a page: the beginning of a connection.
        nested_in_bulk: the same connection in a bulk operation, which has no pages.
    """

    field: str
    sort: str
    plain: str
    nested: str = ""
    nested_in_bulk: str = ""

    @property
    def page(self) -> str:
        """Return the query of a page of whole records."""
        return self._page(f"{self.plain}{self.nested}", self.sort)

    @property
    def keys(self) -> str:
        """Return the query of a page of ids."""
        return self._page("id", "ID")

    @property
    def bulk(self) -> str:
        """Return the query of a bulk operation for all whole records."""
        return self.bulk_of(None)

    @property
    def bulk_keys(self) -> str:
        """Return the query of a bulk operation for ids."""
        return self._bulk("id")

    def bulk_of(self, filter_: str | None) -> str:
        """Return the query of a bulk operation for the whole records that a filter lets through."""
        return self._bulk(f"{self.plain}{self.nested_in_bulk}", filter_)

    def _page(self, fields: str, sort: str) -> str:
        return (
            "query Page($first: Int!, $after: String, $query: String) { "
            f"{self.field}(first: $first, after: $after, query: $query, sortKey: {sort}) {{ "
            f"nodes {{ {fields} }} pageInfo {{ hasNextPage endCursor }} }} "
            f"{self.field}Count(query: $query, limit: null) {{ count }} }}"
        )

    def _bulk(self, fields: str, filter_: str | None = None) -> str:
        chosen = f'(query: "{filter_}")' if filter_ else ""
        return f"{{ {self.field}{chosen} {{ edges {{ node {{ {fields} }} }} }} }}"


OBJECTS: Mapping[str, Object] = MappingProxyType({
    "customers": Object("customers", "UPDATED_AT", _CUSTOMER),
    "orders": Object(
        "orders",
        "UPDATED_AT",
        _ORDER,
        f"lineItems(first: {_LINES_WITH_ORDER}) "
        f"{{ nodes {{ {_LINE} }} pageInfo {{ hasNextPage endCursor }} }}",
        f"lineItems {{ edges {{ node {{ {_LINE} }} }} }}",
    ),
    "products": Object("products", "UPDATED_AT", _PRODUCT),
    "variants": Object("productVariants", "ID", _VARIANT),
})  # fmt: skip

LINES = f"""
query Lines($id: ID!, $first: Int!, $after: String) {{
  node(id: $id) {{
    ... on Order {{
      lineItems(first: $first, after: $after) {{
        nodes {{ {_LINE} }}
        pageInfo {{ hasNextPage endCursor }}
      }}
    }}
  }}
}}
"""
_REFUND_LINES = f"""
refundLineItems(first: $first, after: $after) {{
  nodes {{
    id quantity restockType
    lineItem {{ id }}
    subtotalSet {_MONEY}
    totalTaxSet {_MONEY}
  }}
  pageInfo {{ hasNextPage endCursor }}
}}
"""
REFUNDS = f"""
query Refunds($ids: [ID!]!, $first: Int!, $after: String) {{
  nodes(ids: $ids) {{ ... on Refund {{ id {_REFUND_LINES} }} }}
}}
"""
SHOP = """
query Shop {
  shop { ianaTimezone currencyCode }
  currentAppInstallation { accessScopes { handle } }
}
"""
DELETED = """
query Deleted($query: String) {
  events(first: 1, query: $query, sortKey: CREATED_AT, reverse: true) { nodes { createdAt } }
}
"""
START = """
mutation Start($query: String!) {
  bulkOperationRunQuery(query: $query) {
    bulkOperation { id status }
    userErrors { field message code }
  }
}
"""
OPERATION = """
query Operation($id: ID!) {
  node(id: $id) {
    ... on BulkOperation {
      id status errorCode query createdAt completedAt objectCount rootObjectCount url
    }
  }
}
"""


def documents() -> Iterator[str]:
    """Yield every query that the connector sends, bulk operations among them."""
    yield from (LINES, REFUNDS, SHOP, DELETED, START, OPERATION)
    for asked in OBJECTS.values():
        yield from (asked.page, asked.keys, asked.bulk, asked.bulk_keys)
