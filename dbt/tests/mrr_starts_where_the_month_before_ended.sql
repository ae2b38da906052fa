-- The MRR that a month starts with is that which the month before ended with.
with

months as (

    select
        month,
        mrr_start_usd,
        lag(mrr_end_usd, 1, 0) over (order by month) as previous_end_usd
    from {{ ref('mrr_movements_monthly') }}

)

select
    month,
    mrr_start_usd,
    previous_end_usd
from months
where mrr_start_usd <> previous_end_usd
