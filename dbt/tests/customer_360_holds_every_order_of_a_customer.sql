-- Orders and their money are the same over the customers as over the orders.
with

by_customer as (

    select
        sum(orders) as orders,
        sum(net_usd) as net_usd
    from {{ ref('customer_360') }}

),

by_order as (

    select
        count(*) as orders,
        sum(net_amount_usd) as net_usd
    from {{ ref('fct_orders') }}
    where
        is_counted
        and customer_id is not null

)

select
    by_customer.orders as customer_orders,
    by_order.orders as order_orders,
    by_customer.net_usd as customer_net_usd,
    by_order.net_usd as order_net_usd
from by_customer
cross join by_order
where
    coalesce(by_customer.orders, 0) <> by_order.orders
    or coalesce(by_customer.net_usd, 0) <> coalesce(by_order.net_usd, 0)
