-- Grain: one row per order of the shop, test and cancelled ones included: filter is_counted for
-- revenue. *_usd adds up over any rows; the other amounts only within a currency.
with

orders as (

    select * from {{ ref('int_shop_orders') }}

),

customer_links as (

    select * from {{ ref('int_customer_links') }}

),

rates as (

    select * from {{ ref('int_fx_rates') }}

),

netted as (

    select
        *,
        total_amount - tax_amount - shipping_amount + discount_amount as gross_amount,
        total_amount - refund_amount as net_amount
    from orders

),

final as (

    select
        netted.source || ':' || netted.source_order_id as order_id,
        netted.source,
        netted.source_system,
        netted.source_order_id,
        netted.order_name,
        customer_links.customer_id,
        netted.ordered_at,
        netted.currency,
        netted.gross_amount,
        netted.discount_amount,
        netted.tax_amount,
        netted.shipping_amount,
        netted.total_amount,
        netted.refund_amount,
        netted.net_amount,
        {{ to_reporting('netted.net_amount', 'rates.rate') }} as net_amount_usd,
        netted.financial_status,
        netted.channel,
        netted.is_guest,
        netted.is_test,
        netted.is_cancelled,
        netted.is_counted
    from netted
    left join customer_links
        on
            netted.source = customer_links.source
            and netted.person_object = customer_links.source_object
            and netted.person_id = customer_links.source_id
    left join rates
        on
            netted.currency = rates.currency
            and {{ utc_month('netted.ordered_at') }} = rates.month

)

select * from final
