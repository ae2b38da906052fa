-- Which tables of the schema `marts` are ours to change and to drop; anything else there is not.

create table ops.published_marts (
    mart text primary key,
    row_count bigint not null,
    first_published_at timestamptz not null,
    last_changed_at timestamptz not null
);
comment on table ops.published_marts is 'One row per published mart. last_changed_at is the last publication that changed a row or a column of it.';
