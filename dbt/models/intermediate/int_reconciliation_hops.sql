-- Grain: one row per source, stream and hop, before the differences are taken.
with

extracts as (

    select * from {{ ref('int_reconciliation_extracts') }}

),

landed_rows as (

    select * from {{ ref('int_reconciliation_landed') }}

),

raw_rows as (

    select * from {{ ref('int_reconciliation_raw') }}

),

staged_rows as (

    select * from {{ ref('int_reconciliation_staging') }}

),

mart_rows as (

    select * from {{ ref('int_reconciliation_marts') }}

),

streams as (

    {{ configured_streams() }}

),

final as (

    select
        extracts.source,
        extracts.stream,
        'extract_to_raw' as hop,
        extracts.extracted as source_count,
        coalesce(landed_rows.records, 0) as target_count,
        extracts.further_versions + extracts.quarantined as excluded_count,
        null::numeric as source_amount,
        null::numeric as target_amount,
        null::numeric as excluded_amount,
        'further versions of a row, or in ops.quarantine (' || extracts.quarantined || ')'
            as reason
    from extracts
    left join landed_rows
        on
            extracts.source = landed_rows.source
            and extracts.stream = landed_rows.stream
    union all
    select
        streams.source,
        streams.stream,
        'raw_to_staging' as hop,
        coalesce(raw_rows.records, 0) as source_count,
        coalesce(staged_rows.records, 0) as target_count,
        coalesce(raw_rows.left_records, 0) as excluded_count,
        raw_rows.amount as source_amount,
        staged_rows.amount as target_amount,
        raw_rows.left_amount as excluded_amount,
        'deleted or merged away in the source' as reason
    from streams
    left join raw_rows
        on
            streams.source = raw_rows.source
            and streams.stream = raw_rows.stream
    left join staged_rows
        on
            streams.source = staged_rows.source
            and streams.stream = staged_rows.stream
    union all
    select
        streams.source,
        streams.stream,
        'staging_to_mart' as hop,
        coalesce(staged_rows.records, 0) as source_count,
        coalesce(mart_rows.records, 0) as target_count,
        coalesce(staged_rows.left_records, 0) as excluded_count,
        staged_rows.amount as source_amount,
        mart_rows.amount as target_amount,
        null::numeric as excluded_amount,
        'history of an opportunity that is deleted' as reason
    from streams
    left join staged_rows
        on
            streams.source = staged_rows.source
            and streams.stream = staged_rows.stream
    left join mart_rows
        on
            streams.source = mart_rows.source
            and streams.stream = mart_rows.stream

)

select * from final
