"""Salesforce: its objects as streams. `SystemModstamp` is the version of every change."""

from __future__ import annotations

from ingestion.streams import Column, ColumnType, Stream, columns

TEXT, NUMERIC, TIME = ColumnType.TEXT, ColumnType.NUMERIC, ColumnType.TIMESTAMPTZ
BOOLEAN, DATE = ColumnType.BOOLEAN, ColumnType.DATE

_ALWAYS = (
    *columns(TEXT, "Id"),
    *columns(TIME, "CreatedDate", "SystemModstamp"),
    *columns(BOOLEAN, "IsDeleted"),
)


def _object(name: str, stream: str, *fields: Column) -> Stream:
    return Stream(
        name=stream,
        object=name,
        key=("id",),
        columns=(*_ALWAYS, *fields),
        version="system_modstamp",
        deleted="is_deleted",
        empty_is_null=True,
    )


STREAMS = (
    _object(
        "Account",
        "account",
        *columns(TEXT, "Name", "Website", "Industry", "BillingCountry", "OwnerId"),
        *columns(ColumnType.BIGINT, "NumberOfEmployees"),
        *columns(NUMERIC, "AnnualRevenue"),
    ),
    _object(
        "Contact",
        "contact",
        *columns(TEXT, "AccountId", "FirstName", "LastName", "Email", "Phone", "MailingCountry"),
        *columns(TEXT, "LeadSource", "OwnerId", "MasterRecordId"),
    ),
    _object(
        "Opportunity",
        "opportunity",
        *columns(TEXT, "AccountId", "OwnerId", "Name", "StageName", "ForecastCategoryName"),
        *columns(NUMERIC, "Probability", "Amount"),
        *columns(TEXT, "CurrencyIsoCode"),
        *columns(DATE, "CloseDate"),
        *columns(BOOLEAN, "IsClosed", "IsWon"),
    ),
    Stream(
        name="opportunity_history",
        object="OpportunityHistory",
        key=("id",),
        columns=(
            *columns(TEXT, "Id", "OpportunityId", "StageName"),
            *columns(NUMERIC, "Probability", "Amount"),
            *columns(TIME, "CreatedDate"),
        ),
        # Salesforce writes a row per change and never touches it again.
        version="created_date",
        empty_is_null=True,
    ),
)

MORE = (
    _object(
        "Lead",
        "lead",
        *columns(TEXT, "FirstName", "LastName", "Company", "Email", "Phone", "Status"),
        *columns(TEXT, "LeadSource", "OwnerId", "MasterRecordId"),
        *columns(BOOLEAN, "IsConverted"),
        *columns(DATE, "ConvertedDate"),
        *columns(TEXT, "ConvertedContactId", "ConvertedAccountId", "ConvertedOpportunityId"),
    ),
    Stream(
        name="user",
        object="User",
        key=("id",),
        columns=(
            *columns(TEXT, "Id", "Username", "Name", "Email"),
            *columns(BOOLEAN, "IsActive"),
            *columns(TIME, "CreatedDate", "SystemModstamp"),
        ),
        # Users are made inactive, never deleted.
        version="system_modstamp",
        empty_is_null=True,
    ),
    _object(
        "Campaign",
        "campaign",
        *columns(TEXT, "Name", "Type", "Status"),
        *columns(DATE, "StartDate", "EndDate"),
        *columns(BOOLEAN, "IsActive"),
        *columns(NUMERIC, "BudgetedCost", "ActualCost"),
    ),
    _object(
        "CampaignMember",
        "campaign_member",
        *columns(TEXT, "CampaignId", "LeadId", "ContactId", "Status"),
        *columns(BOOLEAN, "HasResponded"),
    ),
    _object(
        "Task",
        "task",
        *columns(TEXT, "WhoId", "WhatId", "Subject", "Status", "OwnerId"),
        *columns(DATE, "ActivityDate"),
        *columns(BOOLEAN, "IsClosed"),
    ),
    _object(
        "Event",
        "event",
        *columns(TEXT, "WhoId", "WhatId", "Subject", "OwnerId"),
        *columns(TIME, "StartDateTime", "EndDateTime"),
    ),
    _object(
        "OpportunityLineItem",
        "opportunity_line_item",
        *columns(TEXT, "OpportunityId", "Product2Id"),
        *columns(NUMERIC, "Quantity", "UnitPrice", "TotalPrice"),
    ),
    _object(
        "Product2",
        "product2",
        *columns(TEXT, "Name", "ProductCode", "Family"),
        *columns(BOOLEAN, "IsActive"),
    ),
)
"""What the API gives besides, and what an export may have."""

DECLARED = {stream.object: stream for stream in (*STREAMS, *MORE)}
"""The declared streams by the name of their object."""
