-- Grain: one row per subscription, with the stretch of time in which it can carry MRR.
-- paying_from: the start, or the end of the trial; NULL = never. paying_until: the first instant
-- without MRR; NULL = still paying.
with

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

customer_links as (

    select * from {{ ref('int_customer_links') }}

),

final as (

    select
        subscriptions.source,
        subscriptions.source_system,
        subscriptions.source_subscription_id,
        subscriptions.source_customer_id,
        customer_links.customer_id,
        -- Money never waits for identity: without a link the Stripe customer stands for itself.
        coalesce(
            customer_links.customer_id,
            subscriptions.source || ':'
            || coalesce(subscriptions.source_customer_id, subscriptions.source_subscription_id)
        ) as paying_customer_id,
        subscriptions.status,
        subscriptions.currency,
        subscriptions.is_test,
        subscriptions.started_at,
        subscriptions.trial_ended_at,
        subscriptions.ended_at,
        case
            when subscriptions.is_test then null
            -- A trial whose end is not known goes on.
            when subscriptions.status = 'trialing' and subscriptions.trial_ended_at is null
                then null
            -- `incomplete` and `incomplete_expired` were never paid for the first time.
            when
                subscriptions.status in (
                    'active', 'past_due', 'trialing', 'unpaid', 'paused', 'canceled'
                )
                then greatest(subscriptions.started_at, subscriptions.trial_ended_at)
        end as paying_from,
        case
            -- Stripe never dates the turn to `unpaid` or `paused`: the period that was not paid
            -- any more is the best witness.
            when subscriptions.status in ('unpaid', 'paused', 'canceled')
                then coalesce(
                    subscriptions.ended_at,
                    subscriptions.canceled_at,
                    subscriptions.current_period_started_at,
                    subscriptions.started_at
                )
            else subscriptions.ended_at
        end as paying_until
    from subscriptions
    left join customer_links
        on
            subscriptions.source = customer_links.source
            and customer_links.source_object = 'customers'
            and subscriptions.source_customer_id = customer_links.source_id

)

select * from final
