with

source as (

    {{ source_union('stripe', 'invoices') }}

),

final as (

    select
        source,
        source_system,
        id as source_invoice_id,
        customer as source_customer_id,
        -- API versions from 2025-03-31 on name the subscription below `parent`.
        coalesce(subscription, parent #>> '{subscription_details,subscription}')
            as source_subscription_id,
        status,
        upper(currency) as currency,
        {{ minor_to_major('total', 'currency') }} as total_amount,
        {{ minor_to_major('amount_paid', 'currency') }} as paid_amount,
        livemode is false as is_test,
        {{ epoch_to_timestamp('created') }} as invoiced_at,
        {{ epoch_to_timestamp("(status_transitions ->> 'paid_at')::bigint") }} as paid_at
    from source
    where _deleted_at is null

)

select * from final
