-- What has to be known of syncs and runs that left nothing behind, or whose record is gone.

create table ops.stream_checks (
    source text not null,
    stream text not null,
    run_id uuid not null,
    checked_at timestamptz not null,
    primary key (source, stream)
);
comment on table ops.stream_checks is 'When each stream was last read to its end without an error. A sync that finds nothing new leaves no row in ops.sync_runs, and one here.';

create table ops.removed_sync_runs (
    source text not null,
    stream text not null,
    rows_extracted bigint not null,
    rows_inserted bigint not null,
    rows_updated bigint not null,
    rows_unchanged bigint not null,
    rows_deleted bigint not null,
    rows_quarantined bigint not null,
    seconds numeric not null,
    primary key (source, stream)
);
comment on table ops.removed_sync_runs is 'Sums of the rows that were deleted from ops.sync_runs: with the sums of those that are there, totals that never fall.';

create table ops.removed_pipeline_runs (
    status text primary key,
    runs bigint not null
);
comment on table ops.removed_pipeline_runs is 'How many rows were deleted from ops.pipeline_runs, by status.';

create function ops.count_removed_sync_runs() returns trigger language plpgsql as $$
begin
    insert into ops.removed_sync_runs as known
    select
        source, stream, sum(rows_extracted), sum(rows_inserted), sum(rows_updated),
        sum(rows_unchanged), sum(rows_deleted), sum(rows_quarantined), sum(seconds)
    from removed
    group by source, stream
    order by source, stream
    on conflict (source, stream) do update set
        rows_extracted = known.rows_extracted + excluded.rows_extracted,
        rows_inserted = known.rows_inserted + excluded.rows_inserted,
        rows_updated = known.rows_updated + excluded.rows_updated,
        rows_unchanged = known.rows_unchanged + excluded.rows_unchanged,
        rows_deleted = known.rows_deleted + excluded.rows_deleted,
        rows_quarantined = known.rows_quarantined + excluded.rows_quarantined,
        seconds = known.seconds + excluded.seconds;
    return null;
end
$$;
create trigger count_removed after delete on ops.sync_runs
referencing old table as removed for each statement execute function ops.count_removed_sync_runs();

create function ops.count_removed_pipeline_runs() returns trigger language plpgsql as $$
begin
    insert into ops.removed_pipeline_runs as known
    select status, count(*) from removed where status <> 'running' group by status order by status
    on conflict (status) do update set runs = known.runs + excluded.runs;
    return null;
end
$$;
create trigger count_removed after delete on ops.pipeline_runs
referencing old table as removed for each statement execute function ops.count_removed_pipeline_runs();
