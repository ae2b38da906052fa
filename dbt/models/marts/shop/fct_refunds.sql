-- Grain: one row per refund of an order. amount_usd adds up over any rows, amount only within a
-- currency; is_counted as in fct_orders. Dated and converted when the money went back: a month's
-- refunds are not that month's difference between gross and net orders.
with

refunds as (

    select * from {{ ref('stg_shopify__refunds') }}

),

orders as (

    select * from {{ ref('int_shop_orders') }}

),

rates as (

    select * from {{ ref('int_fx_rates') }}

),

final as (

    select
        refunds.source || ':' || refunds.source_refund_id as refund_id,
        refunds.source || ':' || refunds.source_order_id as order_id,
        refunds.source,
        refunds.source_system,
        refunds.refunded_at,
        refunds.currency,
        refunds.amount,
        {{ to_reporting('refunds.amount', 'rates.rate') }} as amount_usd,
        orders.is_counted
    from refunds
    inner join orders
        on
            refunds.source = orders.source
            and refunds.source_order_id = orders.source_order_id
    left join rates
        on
            refunds.currency = rates.currency
            and {{ utc_month('refunds.refunded_at') }} = rates.month

)

select * from final
