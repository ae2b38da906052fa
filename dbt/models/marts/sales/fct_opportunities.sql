-- Grain: one row per opportunity. amount_usd adds up over any rows; amount only within a currency.
with

opportunities as (

    select * from {{ ref('stg_salesforce__opportunities') }}

),

visits as (

    select * from {{ ref('int_opportunity_stage_visits') }}

),

account_links as (

    select * from {{ source('identity', 'account_links') }}

),

rates as (

    select * from {{ ref('int_fx_rates') }}

),

last_visits as (

    select *
    from visits
    where exited_at is null

),

dated as (

    select
        opportunities.*,
        coalesce(last_visits.entered_at, opportunities.created_at) as stage_changed_at,
        case
            when opportunities.is_closed and opportunities.stage = last_visits.stage
                then last_visits.entered_at
        end as closed_at
    from opportunities
    left join last_visits
        on
            opportunities.source = last_visits.source
            and opportunities.source_opportunity_id = last_visits.source_opportunity_id

),

final as (

    select
        dated.source || ':' || dated.source_opportunity_id as opportunity_id,
        dated.source,
        dated.source_system,
        dated.source_opportunity_id,
        account_links.account_id,
        dated.source || ':' || dated.source_owner_id as owner_id,
        dated.name,
        dated.stage,
        dated.forecast_category,
        dated.probability_rate,
        dated.amount,
        dated.currency,
        {{ to_reporting('dated.amount', 'rates.rate') }} as amount_usd,
        dated.created_at,
        dated.stage_changed_at,
        dated.close_date,
        dated.closed_at,
        dated.is_closed,
        dated.is_won,
        case
            when dated.is_won then dated.close_date - {{ utc_day('dated.created_at') }}
        end as cycle_days
    from dated
    left join account_links
        on
            dated.source = account_links.source
            and account_links.source_object = 'Account'
            and dated.source_account_id = account_links.source_id
    left join rates
        on
            dated.currency = rates.currency
            and {{ utc_month('dated.stage_changed_at') }} = rates.month

)

select * from final
