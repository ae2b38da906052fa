-- Grain: one row per source and stream that was ever synced: the records of all its runs since its
-- raw table was made, by what became of them. A table that is dropped and made anew starts again.
with

sync_runs as (

    select * from {{ source('ops', 'sync_runs') }}

),

schema_changes as (

    select * from {{ source('ops', 'schema_changes') }}

),

creations as (

    select distinct on (source, stream)
        source,
        stream,
        run_id,
        changed_at as created_at
    from schema_changes
    where change = 'created'
    order by source asc, stream asc, changed_at desc

),

final as (

    select
        sync_runs.source,
        sync_runs.stream,
        sum(sync_runs.rows_extracted) as extracted,
        sum(sync_runs.rows_inserted) as inserted,
        sum(sync_runs.rows_updated + sync_runs.rows_unchanged) as further_versions,
        sum(sync_runs.rows_quarantined) as quarantined
    from sync_runs
    inner join creations
        on
            sync_runs.source = creations.source
            and sync_runs.stream = creations.stream
    where
        sync_runs.started_at >= creations.created_at
        or sync_runs.run_id = creations.run_id
    group by sync_runs.source, sync_runs.stream

)

select * from final
