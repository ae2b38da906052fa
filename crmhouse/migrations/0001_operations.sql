-- What the platform knows about its own work. Every table here answers a question with one SELECT.

create table ops.sync_runs (
    run_id uuid not null,
    source text not null,
    stream text not null,
    slice text not null,
    status text not null check (status in ('succeeded', 'partial', 'failed')),
    rows_reported bigint,
    rows_extracted bigint not null default 0,
    rows_inserted bigint not null default 0,
    rows_updated bigint not null default 0,
    rows_unchanged bigint not null default 0,
    rows_deleted bigint not null default 0,
    rows_quarantined bigint not null default 0,
    window_start timestamptz,
    window_end timestamptz,
    started_at timestamptz not null,
    seconds numeric not null,
    error text,
    primary key (run_id, source, stream, slice)
);
create index sync_runs_by_stream on ops.sync_runs (source, stream, started_at desc);
comment on table ops.sync_runs is 'One row per run, stream and slice. rows_extracted = inserted + updated + unchanged + quarantined; rows_deleted counts the inserted or updated rows that are tombstones.';
comment on column ops.sync_runs.rows_reported is 'What the source said it would deliver; NULL where a source cannot tell.';
comment on column ops.sync_runs.rows_unchanged is 'Arrived, but raw already held this version or a newer one (rows delivered twice included).';

create table ops.stream_state (
    source text not null,
    stream text not null,
    slice text not null,
    checkpoint jsonb not null,
    cursor_at timestamptz,
    run_id uuid not null,
    changed_run_id uuid,
    updated_at timestamptz not null,
    primary key (source, stream, slice)
);
comment on table ops.stream_state is 'Where each slice of a stream stands. Written in the transaction that lands the rows.';
comment on column ops.stream_state.cursor_at is 'The newest source time that has landed from this slice.';
comment on column ops.stream_state.changed_run_id is 'The last run that changed a row of this slice.';

create table ops.quarantine (
    quarantine_id bigint generated always as identity primary key,
    source text not null,
    stream text not null,
    record_key text,
    reason text not null,
    detail text not null,
    payload text not null,
    payload_sha256 text not null,
    slice text not null,
    run_id uuid not null,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    times_seen integer not null default 1,
    resolved_at timestamptz,
    resolution text check (resolution in ('replayed', 'discarded')),
    unique (source, stream, reason, payload_sha256)
);
comment on table ops.quarantine is 'Records that could not be landed, as they arrived. The same record failing again raises times_seen, it adds no row.';

create table ops.schema_changes (
    change_id bigint generated always as identity primary key,
    source text not null,
    stream text not null,
    column_name text not null,
    change text not null check (change in ('created', 'added', 'widened')),
    old_type text,
    new_type text not null,
    run_id uuid not null,
    changed_at timestamptz not null default now()
);

create table ops.gate_results (
    run_id uuid not null,
    boundary text not null check (boundary in ('raw', 'marts')),
    suite text not null,
    expectation text not null,
    severity text not null check (severity in ('error', 'warning')),
    status text not null check (status in ('passed', 'failed', 'error')),
    rows_checked bigint,
    rows_failed bigint,
    observed text,
    rows_query text,
    checked_at timestamptz not null,
    primary key (run_id, boundary, suite, expectation)
);
comment on column ops.gate_results.rows_query is 'The query that shows the rows which failed.';

create table ops.pipeline_runs (
    run_id uuid primary key,
    status text not null check (status in ('running', 'succeeded', 'partial', 'failed')),
    outcome text,
    input_fingerprint text,
    as_of timestamptz,
    started_at timestamptz not null,
    finished_at timestamptz,
    error text
);
comment on table ops.pipeline_runs is 'One row per crmhouse run. A run whose input_fingerprint equals that of the last run that published has nothing to do.';

create table ops.run_context (
    only_row boolean primary key default true check (only_row),
    run_id uuid not null,
    as_of timestamptz not null,
    reporting_currency text not null
);
comment on table ops.run_context is 'What dbt needs to know about the run it builds for: the moment the figures are for, and the reporting currency.';
