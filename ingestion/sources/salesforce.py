"""Salesforce: its objects as streams. `SystemModstamp` is the version of every change."""

from __future__ import annotations

from ingestion.streams import ColumnType, Stream, columns

TEXT, NUMERIC, TIME = ColumnType.TEXT, ColumnType.NUMERIC, ColumnType.TIMESTAMPTZ

_ALWAYS = (
    *columns(TEXT, "Id"),
    *columns(TIME, "CreatedDate", "SystemModstamp"),
    *columns(ColumnType.BOOLEAN, "IsDeleted"),
)


def _object(name: str, stream: str, *fields: object) -> Stream:
    return Stream(
        name=stream,
        object=name,
        key=("id",),
        columns=(*_ALWAYS, *fields),  # type: ignore[arg-type]
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
        *columns(ColumnType.DATE, "CloseDate"),
        *columns(ColumnType.BOOLEAN, "IsClosed", "IsWon"),
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
