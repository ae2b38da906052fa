-- Grain: one row per shop order, with the person record that stands for its buyer: the shop's
-- customer, or the order itself where the shop knows no customer (a guest, a deleted account).
with

orders as (

    select * from {{ ref('stg_shopify__orders') }}

),

customers as (

    select * from {{ ref('stg_shopify__customers') }}

),

final as (

    select
        orders.source,
        orders.source_order_id,
        customers.source_customer_id is null as is_guest,
        case when customers.source_customer_id is null then 'orders' else 'customers' end
            as person_object,
        coalesce(customers.source_customer_id, orders.source_order_id) as person_id
    from orders
    left join customers
        on
            orders.source = customers.source
            and orders.source_customer_id = customers.source_customer_id

)

select * from final
