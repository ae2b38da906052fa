-- Grain: one row per refund of an order. Some versions of the API state its amount, others only
-- the transactions that paid it back; without any of these, goods came back for no money.
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
        coalesce((refund.value ->> 'amount')::numeric, paid_back.amount) as amount,
        (refund.value ->> 'created_at')::timestamptz as refunded_at
    from orders
    cross join jsonb_array_elements(orders.refunds) as refund (value)
    cross join lateral (
        select
            case
                when jsonb_typeof(refund.value -> 'transactions') = 'array'
                    then coalesce(sum((payment.value ->> 'amount')::numeric), 0)
            end as amount
        from
            jsonb_array_elements({{ json_array("refund.value -> 'transactions'") }})
                as payment (value)
        where
            payment.value ->> 'kind' = 'refund'
            and payment.value ->> 'status' = 'success'
    ) as paid_back

)

select * from final
