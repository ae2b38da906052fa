-- The gross amount, worked out from the total of an order, is what its lines cost. A warning: the
-- two differ in a shop whose prices include tax, and by tips.
{{ config(severity='warn') }}

with

orders as (

    select * from {{ ref('fct_orders') }}

),

lines as (

    select
        order_id,
        sum(quantity * unit_amount) as amount
    from {{ ref('fct_order_lines') }}
    group by order_id

)

select
    orders.order_id,
    orders.gross_amount,
    lines.amount as lines_amount
from orders
inner join lines on orders.order_id = lines.order_id
where abs(orders.gross_amount - lines.amount) >= 0.005
