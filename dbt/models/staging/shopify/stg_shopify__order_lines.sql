-- Grain: one row per line of an order.
with

orders as (

    select * from {{ ref('stg_shopify__orders') }}

),

final as (

    select
        orders.source,
        orders.source_system,
        line.value ->> 'id' as source_order_line_id,
        orders.source_order_id,
        line.value ->> 'product_id' as source_product_id,
        line.value ->> 'variant_id' as source_variant_id,
        line.value ->> 'sku' as sku,
        line.value ->> 'title' as title,
        (line.value ->> 'quantity')::numeric as quantity,
        (line.value ->> 'price')::numeric as unit_amount,
        coalesce((line.value ->> 'total_discount')::numeric, 0) as discount_amount
    from orders
    cross join jsonb_array_elements(orders.lines) as line (value)

)

select * from final
