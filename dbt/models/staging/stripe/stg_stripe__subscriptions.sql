with

source as (

    {{ source_union('stripe', 'subscriptions') }}

),

final as (

    select
        source,
        source_system,
        id as source_subscription_id,
        customer as source_customer_id,
        status,
        upper(currency) as currency,
        livemode is false as is_test,
        {{ epoch_to_timestamp('created') }} as created_at,
        {{ epoch_to_timestamp('coalesce(start_date, created)') }} as started_at,
        {{ epoch_to_timestamp('trial_end') }} as trial_ended_at,
        {{ epoch_to_timestamp('canceled_at') }} as canceled_at,
        {{ epoch_to_timestamp('ended_at') }} as ended_at,
        -- Stripe versions from 2025-03-31 on carry the period on the items.
        {{ epoch_to_timestamp(
            "coalesce(current_period_start, (items #>> '{data,0,current_period_start}')::bigint)"
        ) }} as current_period_started_at
    from source
    where _deleted_at is null

)

select * from final
