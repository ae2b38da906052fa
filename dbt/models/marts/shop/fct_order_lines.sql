-- Grain: one row per line of an order. quantity adds up over any rows, net_amount_usd too, the
-- other amounts only within a currency; is_counted as in fct_orders. Lines carry neither shipping
-- nor tax nor refunds: their sum is not the order's net amount.
with

lines as (

    select * from {{ ref('stg_shopify__order_lines') }}

),

orders as (

    select * from {{ ref('int_shop_orders') }}

),

rates as (

    select * from {{ ref('int_fx_rates') }}

),

priced as (

    select
        lines.*,
        orders.ordered_at,
        orders.currency,
        orders.is_counted,
        lines.quantity * lines.unit_amount - lines.discount_amount as net_amount
    from lines
    inner join orders
        on
            lines.source = orders.source
            and lines.source_order_id = orders.source_order_id

),

final as (

    select
        priced.source || ':' || priced.source_order_line_id as order_line_id,
        priced.source || ':' || priced.source_order_id as order_id,
        priced.source,
        priced.source_system,
        priced.source || ':' || priced.source_product_id as product_id,
        priced.sku,
        priced.title,
        priced.quantity,
        priced.currency,
        priced.unit_amount,
        priced.discount_amount,
        priced.net_amount,
        {{ to_reporting('priced.net_amount', 'rates.rate') }} as net_amount_usd,
        priced.is_counted
    from priced
    left join rates
        on
            priced.currency = rates.currency
            and {{ utc_month('priced.ordered_at') }} = rates.month

)

select * from final
