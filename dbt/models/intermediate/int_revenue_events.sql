-- Grain: one row per event that is revenue, of one of three kinds, with the UTC month that it
-- counts in. A charge that settles an order or an invoice is that order or invoice: no event.
with

orders as (

    select * from {{ ref('fct_orders') }}

),

invoices as (

    select * from {{ ref('fct_invoices') }}

),

payments as (

    select * from {{ ref('fct_payments') }}

),

final as (

    select
        'shop_order' as kind,
        {{ utc_month('ordered_at') }} as month,
        -- Nobody buys anonymously twice: an order without a person is a buyer of its own.
        coalesce(customer_id, order_id) as buyer_id,
        net_amount as amount,
        net_amount_usd as amount_usd
    from orders
    where is_counted
    union all
    select
        'subscription_cash' as kind,
        {{ utc_month('paid_at') }} as month,
        customer_id as buyer_id,
        paid_amount as amount,
        paid_amount_usd as amount_usd
    from invoices
    where
        status = 'paid'
        and not is_test
    union all
    select
        'other_payment' as kind,
        {{ utc_month('paid_at') }} as month,
        customer_id as buyer_id,
        amount - refunded_amount as amount,
        net_amount_usd as amount_usd
    from payments
    where
        status = 'succeeded'
        and not is_test
        and settles_order_id is null
        and settles_invoice_id is null

)

select * from final
