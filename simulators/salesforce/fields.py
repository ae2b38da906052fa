"""The fields of objects: those that are declared here, and those that the records have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.store import Store

SYSTEM = "salesforce"

_KINDS = MappingProxyType({
    "boolean": "IsDeleted IsClosed IsWon IsActive IsConverted IsPrivate IsAllDayEvent HasResponded",
    "date": "CloseDate ConvertedDate ActivityDate StartDate EndDate ServiceDate",
    "datetime": "CreatedDate SystemModstamp LastModifiedDate StartDateTime EndDateTime",
    "int": "NumberOfEmployees",
    "percent": "Probability",
    "currency": "Amount AnnualRevenue TotalPrice UnitPrice ActualCost BudgetedCost",
    "double": "Quantity",
    "email": "Email",
    "phone": "Phone",
    "url": "Website",
    "picklist": "StageName Status Industry LeadSource ForecastCategoryName CurrencyIsoCode Type",
})  # fmt: skip
_TYPE_OF = {name: kind for kind, names in _KINDS.items() for name in names.split()}
_ALWAYS = "Id IsDeleted CreatedDate SystemModstamp"
_OBJECTS = MappingProxyType({
    "Account": f"{_ALWAYS} Name Website Industry NumberOfEmployees AnnualRevenue BillingCountry "
    "OwnerId",
    "Contact": f"{_ALWAYS} AccountId FirstName LastName Email Phone MailingCountry LeadSource "
    "OwnerId MasterRecordId",
    "Opportunity": f"{_ALWAYS} AccountId OwnerId Name StageName ForecastCategoryName Probability "
    "Amount CurrencyIsoCode CloseDate IsClosed IsWon",
    "OpportunityHistory": "Id OpportunityId StageName Probability Amount CreatedDate",
    "Lead": f"{_ALWAYS} FirstName LastName Company Email Phone Status LeadSource OwnerId "
    "IsConverted ConvertedDate ConvertedContactId ConvertedAccountId ConvertedOpportunityId "
    "MasterRecordId",
    "User": "Id CreatedDate SystemModstamp Username Name Email IsActive",
    "Campaign": f"{_ALWAYS} Name Type Status StartDate EndDate IsActive BudgetedCost ActualCost",
    "CampaignMember": f"{_ALWAYS} CampaignId LeadId ContactId Status HasResponded",
    "Task": f"{_ALWAYS} WhoId WhatId Subject Status ActivityDate OwnerId IsClosed",
    "Event": f"{_ALWAYS} WhoId WhatId Subject StartDateTime EndDateTime OwnerId",
    "OpportunityLineItem": f"{_ALWAYS} OpportunityId Product2Id Quantity UnitPrice TotalPrice",
    "Product2": f"{_ALWAYS} Name ProductCode Family IsActive",
})  # fmt: skip
_LOOKED_AT = 300
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
COMPOUND = frozenset({"address", "location"})
NUMBERS = frozenset({"double", "currency", "percent", "int"})


@dataclass(frozen=True)
class Field:
    """A field of an object.

    Attributes:
        name: of the API.
        type: as describe names types.
        calculated: whether it is a formula: its value changes without the record.
        compound: the compound field that it is a part of.
    """

    name: str
    type: str = "string"
    calculated: bool = False
    compound: str | None = None

    @property
    def described(self) -> dict[str, Any]:
        """Return what describe tells of it."""
        return {
            "name": self.name,
            "label": self.name,
            "type": self.type,
            "soapType": "tns:ID" if self.type == "id" else f"xsd:{self.type}",
            "calculated": self.calculated,
            "compoundFieldName": self.compound,
            "custom": self.name.endswith("__c"),
            "filterable": self.type not in COMPOUND,
            "sortable": self.type not in COMPOUND,
            "nillable": self.name != "Id",
            "length": 18 if self.type in {"id", "reference"} else 255,
            "precision": 18 if self.type in NUMBERS else 0,
            "scale": 2 if self.type in NUMBERS else 0,
            "referenceTo": [],
            "picklistValues": [],
        }


def objects(store: Store) -> list[str]:
    """Return the objects that there are."""
    return sorted({*_OBJECTS, *store.objects(SYSTEM)})


def fields_of(store: Store, object_: str, more: Mapping[str, Field]) -> dict[str, Field]:
    """Return the fields of an object, by name.

    Args:
        store: the records, which may have fields that are not declared here.
        object_: its name.
        more: fields that are to be so, whatever the records say.
    """
    ends = [
        *store.select(SYSTEM, object_, limit=_LOOKED_AT),
        *store.select(SYSTEM, object_, order="position desc", limit=_LOOKED_AT),
    ]
    names = dict.fromkeys(_OBJECTS.get(object_, "").split())
    names |= dict.fromkeys(name for record in ends for name in record.body)
    found = {
        name: Field(name, _type_of(name, [record.body.get(name) for record in ends]))
        for name in names
    }
    return found | dict(more)


def _type_of(name: str, values: list[Any]) -> str:
    if name == "Id":
        return "id"
    if name in _TYPE_OF:
        return _TYPE_OF[name]
    if name.endswith("Id"):
        return "reference"
    there = [value for value in values if value not in {None, ""}]
    if there and all(isinstance(value, bool) or value in {"true", "false"} for value in there):
        return "boolean"
    texts = [str(value) for value in there]
    for kind, pattern in (("double", _NUMBER), ("date", _DAY), ("datetime", _MOMENT)):
        if texts and all(pattern.fullmatch(text) for text in texts):
            return kind
    return "string"
