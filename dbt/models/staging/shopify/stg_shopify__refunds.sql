-- Grain: one row per refund of an order.
with

orders as (

    select * from {{ ref('stg_shopify__orders') }}

),

final as (

    select
        orders.source,
        orders.source_system,
        refund.value ->> 'id' as source_refund_id,
        orders.source_order_id,
        orders.currency,
        (refund.value ->> 'amount')::numeric as amount,
        (refund.value ->> 'created_at')::timestamptz as refunded_at
    from orders
    cross join jsonb_array_elements(orders.refunds) as refund (value)

)

select * from final
