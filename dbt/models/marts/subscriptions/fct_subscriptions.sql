-- Grain: one row per subscription. mrr_amount is a level at as_of: add it up over subscriptions of
-- one currency, mrr_amount_usd over all; never over time.
with

subscriptions as (

    select * from {{ ref('int_subscriptions') }}

),

mrr as (

    select * from {{ ref('int_subscription_mrr_monthly') }}

),

context as (

    select * from {{ ref('int_run_context') }}

),

current_mrr as (

    select mrr.*
    from mrr
    inner join context on mrr.month = context.last_month

),

final as (

    select
        subscriptions.source || ':' || subscriptions.source_subscription_id as subscription_id,
        subscriptions.source,
        subscriptions.source_system,
        subscriptions.source_subscription_id,
        subscriptions.customer_id,
        subscriptions.paying_customer_id,
        subscriptions.status,
        subscriptions.started_at,
        subscriptions.trial_ended_at,
        subscriptions.ended_at,
        subscriptions.paying_from,
        subscriptions.paying_until,
        subscriptions.currency,
        coalesce(current_mrr.mrr_amount, 0) as mrr_amount,
        case
            when current_mrr.source_subscription_id is null then 0
            else current_mrr.mrr_amount_usd
        end as mrr_amount_usd,
        subscriptions.is_test
    from subscriptions
    left join current_mrr
        on
            subscriptions.source = current_mrr.source
            and subscriptions.source_subscription_id = current_mrr.source_subscription_id

)

select * from final
