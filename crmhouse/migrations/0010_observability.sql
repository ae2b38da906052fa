-- What has to be known of syncs and runs that left nothing behind, or whose record is gone.

create table ops.stream_checks (
    source text not null,
    stream text not null,
    run_id uuid not null,
    checked_at timestamptz not null,
    primary key (source, stream)
);
comment on table ops.stream_checks is 'When each stream was last read to its end without an error. A sync that finds nothing new leaves no row in ops.sync_runs, and one here.';

create table ops.removed_pipeline_runs (
    status text primary key,
    runs bigint not null
);
comment on table ops.removed_pipeline_runs is 'How many rows were deleted from ops.pipeline_runs, by status.';

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
