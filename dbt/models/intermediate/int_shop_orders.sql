-- Grain: one row per shop order with what its lines and refunds add up to, and its buyer. Each join
-- finds at most one row: no order is multiplied, however often it was paid or refunded.
with

orders as (

    select * from {{ ref('stg_shopify__orders') }}

),

lines as (

    select * from {{ ref('stg_shopify__order_lines') }}

),

refunds as (

    select * from {{ ref('stg_shopify__refunds') }}

),

buyers as (

    select * from {{ ref('int_shop_order_buyers') }}

),

refunded as (

    select
        source,
        source_order_id,
        sum(amount) as refund_amount
    from refunds
    group by source, source_order_id

),

discounted as (

    select
        source,
        source_order_id,
        sum(discount_amount) as discount_amount
    from lines
    group by source, source_order_id

),

final as (

    select
        orders.source,
        orders.source_system,
        orders.source_order_id,
        orders.order_name,
        buyers.person_object,
        buyers.person_id,
        buyers.is_guest,
        orders.ordered_at,
        orders.currency,
        orders.total_amount,
        coalesce(orders.tax_amount, 0) as tax_amount,
        coalesce(orders.shipping_amount, 0) as shipping_amount,
        coalesce(orders.discount_amount, discounted.discount_amount, 0) as discount_amount,
        coalesce(refunded.refund_amount, 0) as refund_amount,
        orders.financial_status,
        orders.channel,
        orders.is_test,
        orders.is_cancelled,
        not orders.is_test and not orders.is_cancelled as is_counted
    from orders
    inner join buyers
        on
            orders.source = buyers.source
            and orders.source_order_id = buyers.source_order_id
    left join refunded
        on
            orders.source = refunded.source
            and orders.source_order_id = refunded.source_order_id
    left join discounted
        on
            orders.source = discounted.source
            and orders.source_order_id = discounted.source_order_id

)

select * from final
