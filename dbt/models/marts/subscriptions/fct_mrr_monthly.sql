-- Grain: one row per customer and month in which the customer has MRR, and one with 0 for the
-- month after. MRR is a level: add it up over customers, never over months. Movements add up over
-- both.
with

subscription_months as (

    select * from {{ ref('int_subscription_mrr_monthly') }}

),

context as (

    select * from {{ ref('int_run_context') }}

),

months as (

    select
        paying_customer_id as customer_id,
        month,
        mrr_amount_usd,
        1 as active_subscriptions,
        case when mrr_amount_usd is null then 1 else 0 end as missing_fx_rates,
        case when is_rate_carried then 1 else 0 end as carried_fx_rates
    from subscription_months
    union all
    -- The month after: adds nothing where the customer goes on, else it is the row of the churn.
    select
        subscription_months.paying_customer_id as customer_id,
        (subscription_months.month + interval '1 month')::date as month,
        0 as mrr_amount_usd,
        0 as active_subscriptions,
        0 as missing_fx_rates,
        0 as carried_fx_rates
    from subscription_months
    cross join context
    where subscription_months.month < context.last_month

),

customer_months as (

    select
        customer_id,
        month,
        coalesce(sum(mrr_amount_usd), 0) as mrr_usd,
        sum(active_subscriptions) as active_subscriptions,
        sum(missing_fx_rates) as missing_fx_rates,
        sum(carried_fx_rates) as carried_fx_rates
    from months
    group by customer_id, month

),

compared as (

    select
        *,
        -- A gap between two stretches has no rows but the 0 of the first one's end.
        coalesce(lag(mrr_usd) over (
            partition by customer_id
            order by month
        ), 0) as previous_mrr_usd,
        coalesce(max(mrr_usd) over (
            partition by customer_id
            order by month
            rows between unbounded preceding and 1 preceding
        ), 0) as highest_before_usd
    from customer_months

),

final as (

    select
        customer_id,
        month,
        mrr_usd,
        previous_mrr_usd,
        case
            when mrr_usd > 0 and highest_before_usd = 0 then 'new'
            when mrr_usd = 0 and previous_mrr_usd > 0 then 'churn'
            when mrr_usd > 0 and previous_mrr_usd = 0 then 'reactivation'
            when mrr_usd > previous_mrr_usd then 'expansion'
            when mrr_usd < previous_mrr_usd then 'contraction'
            else 'retained'
        end as movement,
        mrr_usd - previous_mrr_usd as movement_usd,
        active_subscriptions::integer as active_subscriptions,
        missing_fx_rates::integer as missing_fx_rates,
        carried_fx_rates::integer as carried_fx_rates
    from compared

)

select * from final
