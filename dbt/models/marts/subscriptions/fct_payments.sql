-- Grain: one row per charge, an attempt to take money. Money taken is amount_usd where
-- status = 'succeeded' and not is_test. A payment with settles_order_id or settles_invoice_id is
-- the same money as that order or invoice: never add the two.
with

charges as (

    select * from {{ ref('stg_stripe__charges') }}

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

orders as (

    select * from {{ ref('stg_shopify__orders') }}

),

customer_links as (

    select * from {{ ref('int_customer_links') }}

),

rates as (

    select * from {{ ref('int_fx_rates') }}

),

shop_orders as (

    -- Two configured shops may hold the same order: the payment settles one of them.
    select
        source_order_id,
        min(source) as source
    from orders
    group by source_order_id

),

final as (

    select
        charges.source || ':' || charges.source_payment_id as payment_id,
        charges.source,
        charges.source_system,
        charges.source_payment_id,
        customer_links.customer_id,
        charges.created_at as attempted_at,
        case when charges.status = 'succeeded' then charges.created_at end as paid_at,
        charges.status,
        charges.currency,
        charges.amount,
        charges.refunded_amount,
        {{ to_reporting('charges.amount', 'rates.rate') }} as amount_usd,
        {{ to_reporting('(charges.amount - charges.refunded_amount)', 'rates.rate') }}
            as net_amount_usd,
        charges.is_test,
        shop_orders.source || ':' || shop_orders.source_order_id as settles_order_id,
        invoices.source || ':' || invoices.source_invoice_id as settles_invoice_id
    from charges
    left join shop_orders
        on charges.shopify_order_id = shop_orders.source_order_id
    left join invoices
        on
            charges.source = invoices.source
            and charges.source_invoice_id = invoices.source_invoice_id
    left join customer_links
        on
            charges.source = customer_links.source
            and customer_links.source_object = 'customers'
            and charges.source_customer_id = customer_links.source_id
    left join rates
        on
            charges.currency = rates.currency
            and {{ utc_month('charges.created_at') }} = rates.month

)

select * from final
