-- What is summed up or removed after its time, see the settings `retention`.

alter table ops.sync_runs add column stands_for bigint not null default 1;
comment on column ops.sync_runs.stands_for is 'How many rows this one stands for: 1, or the number of old ones that the retention has summed up in it, under the run 00000000-0000-0000-0000-000000000000. So sums over the table stay what they were.';
create index gate_results_by_rule on ops.gate_results (boundary, suite, expectation, checked_at desc);
