-- A column that a source no longer has is a change of its schema too, and so is its return.

alter table ops.schema_changes alter column new_type drop not null;
alter table ops.schema_changes drop constraint schema_changes_change_check;
alter table ops.schema_changes add constraint schema_changes_change_check
check (change in ('created', 'added', 'widened', 'vanished', 'returned'));
comment on table ops.schema_changes is 'Every change of what a source delivers or a raw table holds. A renamed field is one that vanished and one that was added.';
create index schema_changes_by_column on ops.schema_changes (source, stream, column_name, change_id);
