-- No line and no refund is lost or doubled on the way, and refunds add up to those of the orders.
with

totals as (

    select
        'lines' as what,
        (select count(*) from {{ ref('stg_shopify__order_lines') }}) as expected,
        (select count(*) from {{ ref('fct_order_lines') }}) as found
    union all
    select
        'refunds' as what,
        (select count(*) from {{ ref('stg_shopify__refunds') }}) as expected,
        (select count(*) from {{ ref('fct_refunds') }}) as found
    union all
    select
        'refunded money' as what,
        (select sum(refund_amount) from {{ ref('fct_orders') }}) as expected,
        (select coalesce(sum(amount), 0) from {{ ref('fct_refunds') }}) as found

)

select *
from totals
where coalesce(expected, 0) <> found
