-- Backfills: what of a source's time is read again, cut into slices that any process may land.

create table ops.backfills (
    backfill_id uuid primary key,
    source text not null,
    streams text[] not null,
    window_start timestamptz not null,
    window_end timestamptz not null,
    slices integer not null,
    started_at timestamptz not null default now(),
    finished_at timestamptz
);
create unique index backfills_under_way on ops.backfills
    (source, streams, window_start, window_end, slices) where finished_at is null;
comment on table ops.backfills is 'One row per backfill. One that is asked for again before it is finished goes on with the slices that are missing.';

create table ops.backfill_slices (
    backfill_id uuid not null references ops.backfills on delete cascade,
    slice integer not null,
    window_start timestamptz not null,
    window_end timestamptz not null,
    run_id uuid,
    landed_at timestamptz,
    primary key (backfill_id, slice)
);
comment on column ops.backfill_slices.run_id is 'The run in ops.sync_runs that has landed the slice, with all streams of the backfill.';
