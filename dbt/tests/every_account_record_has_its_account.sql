-- Once identity has run, each living organisation record belongs to one account of the mart.
with

counted as (

    select
        (select count(*) from {{ ref('int_account_records') }}) as records,
        (select count(*) from {{ ref('account_identities') }}) as identities,
        (select coalesce(sum(record_count), 0) from {{ ref('dim_accounts') }}) as in_accounts

)

select *
from counted
where
    identities > 0
    and (records <> identities or identities <> in_accounts)
