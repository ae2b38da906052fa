-- Grain: one row per stage that an opportunity is in at as_of. Everything adds up over stages.
with

opportunities as (

    select * from {{ ref('fct_opportunities') }}

),

final as (

    select
        coalesce(stage, '(none)') as stage,
        count(*)::integer as opportunities,
        coalesce(sum(amount_usd), 0) as amount_usd,
        coalesce(sum(amount_usd * probability_rate), 0) as weighted_amount_usd,
        bool_and(is_closed) as is_closed,
        bool_and(is_won) as is_won,
        (count(amount) - count(amount_usd))::integer as missing_fx_rates
    from opportunities
    group by coalesce(stage, '(none)')

)

select * from final
