-- Once identity has run, each living person record belongs to exactly one customer of the mart.
with

records as (

    select * from {{ ref('int_person_records') }}

),

identities as (

    select * from {{ ref('customer_identities') }}

),

counted as (

    select
        (select count(*) from records) as records,
        (select count(*) from identities) as identities,
        (select coalesce(sum(record_count), 0) from {{ ref('dim_customers') }}) as in_customers

)

select *
from counted
where
    identities > 0
    and (records <> identities or identities <> in_customers)
