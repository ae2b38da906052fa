-- Grain: one row per month and currency that converts into the reporting currency.
-- The reporting currency itself is 1 in every month, quoted or not; any other pair that is absent
-- has no rate, and a left join on it leaves the converted amount NULL.
with

quotes as (

    select * from {{ ref('int_fx_quotes') }}

),

context as (

    select * from {{ ref('int_run_context') }}

),

crossed as (

    select
        quotes.month,
        quotes.currency,
        quotes.usd_per_unit / nullif(reporting.usd_per_unit, 0) as rate
    from quotes
    cross join context
    inner join quotes as reporting
        on
            quotes.month = reporting.month
            and context.reporting_currency = reporting.currency
    where quotes.currency <> context.reporting_currency

),

unity as (

    -- From the epoch, before which no source dates an event, to a year past the run, for clocks
    -- that are ahead.
    select
        months.instant::date as month,
        context.reporting_currency as currency,
        1::numeric as rate
    from context
    cross join generate_series(
        timestamp '1970-01-01', context.last_month + interval '12 months', interval '1 month'
    ) as months (instant)

),

final as (

    select * from crossed
    union all
    select * from unity

)

select * from final
