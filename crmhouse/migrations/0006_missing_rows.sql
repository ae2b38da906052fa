-- Where all records of a stream are read, those that raw has and the source has not are found.

alter table ops.sync_runs add column rows_missing bigint not null default 0;
comment on column ops.sync_runs.rows_missing is 'Rows of raw whose record the source does not have any more. They became tombstones; in a table without a key they were removed. They did not arrive, so they are not among rows_extracted.';
comment on table ops.sync_runs is 'One row per run, stream and slice. rows_extracted = inserted + updated + unchanged + quarantined; rows_deleted counts the inserted or updated rows that are tombstones, and rows_missing.';
