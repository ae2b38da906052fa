with

source as (

    {{ source_union('stripe', 'charges') }}

),

final as (

    select
        source,
        source_system,
        id as source_payment_id,
        customer as source_customer_id,
        invoice as source_invoice_id,
        metadata ->> 'shopify_order_id' as shopify_order_id,
        -- An authorisation that is not captured succeeded too, but took no money yet.
        case when captured is false and status = 'succeeded' then 'authorized' else status end
            as status,
        upper(currency) as currency,
        {{ minor_to_major('amount', 'currency') }} as amount,
        {{ minor_to_major('amount_refunded', 'currency') }} as refunded_amount,
        livemode is false as is_test,
        {{ epoch_to_timestamp('created') }} as created_at
    from source
    where _deleted_at is null

)

select * from final
