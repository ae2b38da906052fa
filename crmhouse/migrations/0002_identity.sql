-- Who is who. The tables for persons (customer_*) and organisations (account_*) are alike.
-- A record is named by source, source_object and source_id, as everywhere in the warehouse.

create table identity.customers (
    customer_id text primary key,
    birth_order bigint not null unique,
    founding_source text not null,
    founding_object text not null,
    founding_id text not null,
    run_id uuid not null,
    created_at timestamptz not null default now()
);
comment on table identity.customers is 'Every customer_id there ever was. Rows are never changed or deleted.';
comment on column identity.customers.birth_order is 'Smaller is older. When customers merge, the oldest id survives.';
comment on column identity.customers.founding_id is 'With founding_source and founding_object: the earliest record of the customer when its id was made. The id is a hash of these three.';

create table identity.customer_links (
    source text not null,
    source_object text not null,
    source_id text not null,
    customer_id text not null,
    match_rule text not null,
    match_probability numeric not null check (match_probability between 0 and 1),
    run_id uuid not null,
    linked_at timestamptz not null default now(),
    primary key (source, source_object, source_id)
);
create index customer_links_by_customer on identity.customer_links (customer_id);
comment on table identity.customer_links is 'One row per person record that the sources hold now: the customer it belongs to.';
comment on column identity.customer_links.match_rule is 'The strongest rule that ties the record to another record of the customer; single when it is the only one.';
comment on column identity.customer_links.match_probability is 'How sure that rule is by itself, a constant per rule; 1 for single.';
comment on column identity.customer_links.linked_at is 'When the record came to this customer.';
comment on column identity.customer_links.run_id is 'The run in which the record came to this customer.';

create table identity.customer_former_links (
    source text not null,
    source_object text not null,
    source_id text not null,
    customer_id text not null,
    run_id uuid not null,
    removed_at timestamptz not null default now(),
    primary key (source, source_object, source_id)
);
comment on table identity.customer_former_links is 'Records that left the sources and the customer each belonged to. A record that returns brings its customer back.';

create table identity.customer_edges (
    left_source text not null,
    left_object text not null,
    left_id text not null,
    right_source text not null,
    right_object text not null,
    right_id text not null,
    rule text not null,
    probability numeric not null check (probability between 0 and 1),
    is_used boolean not null,
    run_id uuid not null,
    found_at timestamptz not null default now(),
    primary key (left_source, left_object, left_id, right_source, right_object, right_id, rule)
);
create index customer_edges_by_right on identity.customer_edges (right_source, right_object, right_id);
comment on table identity.customer_edges is 'The evidence of today: two records and the rule that ties them. It holds no personal value; the records show the values.';
comment on column identity.customer_edges.is_used is 'False where the edge was left out, because it would bring together names that contradict each other.';

create table identity.customer_moves (
    source text not null,
    source_object text not null,
    source_id text not null,
    from_customer_id text not null,
    to_customer_id text not null,
    run_id uuid not null,
    moved_at timestamptz not null default now(),
    primary key (source, source_object, source_id, run_id)
);
create index customer_moves_by_former_customer on identity.customer_moves (from_customer_id);
comment on table identity.customer_moves is 'Every change of customer of a record, so that a merge or a split can be undone record by record.';

create table identity.customer_merges (
    retired_id text not null references identity.customers (customer_id),
    surviving_id text not null references identity.customers (customer_id),
    run_id uuid not null,
    merged_at timestamptz not null default now(),
    primary key (retired_id, surviving_id, run_id)
);
comment on table identity.customer_merges is 'Customers found to be one person: what the retired id is called from this run on. identity.customer_aliases follows chains.';

create table identity.customer_splits (
    customer_id text not null references identity.customers (customer_id),
    split_off_id text not null references identity.customers (customer_id),
    records bigint not null,
    run_id uuid not null,
    split_at timestamptz not null default now(),
    primary key (customer_id, split_off_id, run_id)
);
comment on table identity.customer_splits is 'Customers whose records turned out to be several persons: the records that went to a new id.';
comment on column identity.customer_splits.records is 'How many records of the customer went.';

create view identity.customer_aliases as
with recursive latest as (
    select distinct on (merges.retired_id)
        merges.retired_id,
        merges.surviving_id
    from identity.customer_merges as merges
    where not exists (
        select 1 from identity.customer_links as links
        where links.customer_id = merges.retired_id
    )
    order by merges.retired_id, merges.merged_at desc, merges.surviving_id
),

chain as (
    select
        latest.retired_id,
        latest.surviving_id as customer_id,
        array[latest.retired_id, latest.surviving_id] as path
    from latest
    union all
    select
        chain.retired_id,
        latest.surviving_id,
        chain.path || latest.surviving_id
    from chain
    inner join latest on chain.customer_id = latest.retired_id
    where latest.surviving_id <> all(chain.path)
)

select distinct on (retired_id)
    retired_id,
    customer_id
from chain
order by retired_id, cardinality(path) desc;
comment on view identity.customer_aliases is 'What a retired customer_id is called today. Ids that records bear are not in it.';

create table identity.accounts (
    account_id text primary key,
    birth_order bigint not null unique,
    founding_source text not null,
    founding_object text not null,
    founding_id text not null,
    run_id uuid not null,
    created_at timestamptz not null default now()
);
comment on table identity.accounts is 'Every account_id there ever was. Rows are never changed or deleted.';
comment on column identity.accounts.birth_order is 'Smaller is older. When accounts merge, the oldest id survives.';
comment on column identity.accounts.founding_id is 'With founding_source and founding_object: the earliest record of the account when its id was made. The id is a hash of these three.';

create table identity.account_links (
    source text not null,
    source_object text not null,
    source_id text not null,
    account_id text not null,
    match_rule text not null,
    match_probability numeric not null check (match_probability between 0 and 1),
    run_id uuid not null,
    linked_at timestamptz not null default now(),
    primary key (source, source_object, source_id)
);
create index account_links_by_account on identity.account_links (account_id);
comment on table identity.account_links is 'One row per organisation record that the sources hold now: the account it belongs to.';
comment on column identity.account_links.match_rule is 'The strongest rule that ties the record to another record of the account; single when it is the only one.';
comment on column identity.account_links.match_probability is 'How sure that rule is by itself, a constant per rule; 1 for single.';
comment on column identity.account_links.linked_at is 'When the record came to this account.';
comment on column identity.account_links.run_id is 'The run in which the record came to this account.';

create table identity.account_former_links (
    source text not null,
    source_object text not null,
    source_id text not null,
    account_id text not null,
    run_id uuid not null,
    removed_at timestamptz not null default now(),
    primary key (source, source_object, source_id)
);
comment on table identity.account_former_links is 'Records that left the sources and the account each belonged to. A record that returns brings its account back.';

create table identity.account_edges (
    left_source text not null,
    left_object text not null,
    left_id text not null,
    right_source text not null,
    right_object text not null,
    right_id text not null,
    rule text not null,
    probability numeric not null check (probability between 0 and 1),
    is_used boolean not null,
    run_id uuid not null,
    found_at timestamptz not null default now(),
    primary key (left_source, left_object, left_id, right_source, right_object, right_id, rule)
);
create index account_edges_by_right on identity.account_edges (right_source, right_object, right_id);
comment on table identity.account_edges is 'The evidence of today: two records and the rule that ties them.';
comment on column identity.account_edges.is_used is 'False where the edge was left out, because it would bring together websites that contradict each other.';

create table identity.account_moves (
    source text not null,
    source_object text not null,
    source_id text not null,
    from_account_id text not null,
    to_account_id text not null,
    run_id uuid not null,
    moved_at timestamptz not null default now(),
    primary key (source, source_object, source_id, run_id)
);
create index account_moves_by_former_account on identity.account_moves (from_account_id);
comment on table identity.account_moves is 'Every change of account of a record, so that a merge or a split can be undone record by record.';

create table identity.account_merges (
    retired_id text not null references identity.accounts (account_id),
    surviving_id text not null references identity.accounts (account_id),
    run_id uuid not null,
    merged_at timestamptz not null default now(),
    primary key (retired_id, surviving_id, run_id)
);
comment on table identity.account_merges is 'Accounts found to be one organisation: what the retired id is called from this run on. identity.account_aliases follows chains.';

create table identity.account_splits (
    account_id text not null references identity.accounts (account_id),
    split_off_id text not null references identity.accounts (account_id),
    records bigint not null,
    run_id uuid not null,
    split_at timestamptz not null default now(),
    primary key (account_id, split_off_id, run_id)
);
comment on table identity.account_splits is 'Accounts whose records turned out to be several organisations: the records that went to a new id.';
comment on column identity.account_splits.records is 'How many records of the account went.';

create view identity.account_aliases as
with recursive latest as (
    select distinct on (merges.retired_id)
        merges.retired_id,
        merges.surviving_id
    from identity.account_merges as merges
    where not exists (
        select 1 from identity.account_links as links
        where links.account_id = merges.retired_id
    )
    order by merges.retired_id, merges.merged_at desc, merges.surviving_id
),

chain as (
    select
        latest.retired_id,
        latest.surviving_id as account_id,
        array[latest.retired_id, latest.surviving_id] as path
    from latest
    union all
    select
        chain.retired_id,
        latest.surviving_id,
        chain.path || latest.surviving_id
    from chain
    inner join latest on chain.account_id = latest.retired_id
    where latest.surviving_id <> all(chain.path)
)

select distinct on (retired_id)
    retired_id,
    account_id
from chain
order by retired_id, cardinality(path) desc;
comment on view identity.account_aliases is 'What a retired account_id is called today. Ids that records bear are not in it.';
