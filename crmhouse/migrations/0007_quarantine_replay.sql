-- What it takes to put a held record through the landing engine again.

alter table ops.quarantine add column payload_kind text;
update ops.quarantine set payload_kind = case
    when reason in ('invalid_json', 'not_a_record', 'ragged_row', 'invalid_encoding')
        then 'unreadable'
    when reason not in (
        'value_does_not_fit', 'missing_key', 'missing_version', 'outside_contract'
    ) then 'row'
    when slice ~ '\.(csv|parquet)$' then 'table'
    else 'json'
end;
alter table ops.quarantine alter column payload_kind set not null;
alter table ops.quarantine add constraint quarantine_payload_kind_check
check (payload_kind in ('json', 'table', 'row', 'unreadable'));
comment on column ops.quarantine.payload_kind is 'json: a JSON object by field, as it arrived. table: the same of a CSV or Parquet record, whose texts are read as the column''s type. row: by column of the raw table. unreadable: not a record, so it cannot be replayed.';

alter table ops.quarantine add column arrived_at timestamptz;
update ops.quarantine set arrived_at = last_seen_at;
alter table ops.quarantine alter column arrived_at set not null;
comment on column ops.quarantine.arrived_at is 'When its source delivered it last; last_seen_at is later where a replay has tried it since.';
comment on column ops.quarantine.run_id is 'The run that saw it last, or that replayed it.';
create index quarantine_by_key on ops.quarantine (source, stream, record_key);
