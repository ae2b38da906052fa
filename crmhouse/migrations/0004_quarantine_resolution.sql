-- A record that was repaired in its source is not held any more.

alter table ops.quarantine drop constraint quarantine_resolution_check;
alter table ops.quarantine add constraint quarantine_resolution_check
    check (resolution in ('replayed', 'discarded', 'superseded'));
comment on column ops.quarantine.resolution is 'superseded: its slice was read again without it, or a good version of the record has landed since.';
