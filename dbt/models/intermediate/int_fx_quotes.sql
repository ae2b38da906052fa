-- Grain: one row per month and currency: US dollars for one unit, the dollar itself included.
with

quotes as (

    select * from {{ ref('stg_files__fx_rates') }}

),

final as (

    select
        month,
        currency,
        usd_per_unit
    from quotes
    where currency <> 'USD'
    union all
    -- Quotes are in dollars: the dollar's own is 1, whether the file says so or not.
    select distinct
        month,
        'USD' as currency,
        1::numeric as usd_per_unit
    from quotes

)

select * from final
