-- Grain: one row per month from the first rate to the run's month, and currency: the rate to value
-- a standing amount (MRR) at. Where a month's rate is missing, the last earlier one stands in, so
-- that a rate which is not published yet never looks like churn.
with

rates as (

    select * from {{ ref('int_fx_rates') }}

),

context as (

    select * from {{ ref('int_run_context') }}

),

dated as (

    select
        rates.currency,
        rates.month,
        rates.rate,
        lead(rates.month) over (partition by rates.currency order by rates.month) as next_month
    from rates
    where rates.rate is not null

),

final as (

    select
        dated.currency,
        months.instant::date as month,
        dated.rate,
        months.instant > dated.month as is_carried
    from dated
    cross join context
    cross join generate_series(
        dated.month::timestamp,
        coalesce(dated.next_month - interval '1 month', greatest(context.last_month, dated.month)),
        interval '1 month'
    ) as months (instant)

)

select * from final
