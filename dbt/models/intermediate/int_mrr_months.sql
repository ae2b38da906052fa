-- Grain: one row per month of the MRR series, from the month of the first billing customer to that
-- of the run: a month without MRR is a month with 0, not a gap.
with

mrr as (

    select * from {{ ref('fct_mrr_monthly') }}

),

customers as (

    select * from {{ ref('stg_stripe__customers') }}

),

context as (

    select * from {{ ref('int_run_context') }}

),

starts as (

    select min(month) as month
    from mrr
    union all
    select {{ utc_month('min(created_at)') }} as month
    from customers
    where not is_test

),

first_month as (

    select min(month) as month
    from starts

),

final as (

    select months.instant::date as month
    from first_month
    cross join context
    cross join generate_series(
        first_month.month::timestamp, context.last_month::timestamp, interval '1 month'
    ) as months (instant)

)

select * from final
