-- Grain: one row per source and stream that was ever synced: records over all its runs.
with

sync_runs as (

    select * from {{ source('ops', 'sync_runs') }}

),

final as (

    select
        source,
        stream,
        sum(rows_extracted) as extracted,
        sum(rows_inserted + rows_updated + rows_unchanged) as landed,
        sum(rows_quarantined) as quarantined
    from sync_runs
    group by source, stream

)

select * from final
