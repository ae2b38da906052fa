-- Grain: one row per month and currency with a quoted rate. Nothing adds up.
with

quotes as (

    select * from {{ ref('int_fx_quotes') }}

),

rates as (

    select * from {{ ref('int_fx_rates') }}

),

final as (

    select
        quotes.month,
        quotes.currency,
        quotes.usd_per_unit,
        rates.rate as reporting_per_unit
    from quotes
    left join rates
        on
            quotes.month = rates.month
            and quotes.currency = rates.currency

)

select * from final
