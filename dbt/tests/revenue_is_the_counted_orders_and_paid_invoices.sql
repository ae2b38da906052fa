-- Revenue over all months is that of the counted orders and the paid invoices up to the month of
-- the run, to the last digit: no join multiplied it, no month is missing.
with

context as (

    select last_month from {{ ref('int_run_context') }}

),

in_the_mart as (

    select coalesce(sum(total_usd), 0) as amount_usd
    from {{ ref('revenue_monthly') }}

),

orders as (

    select coalesce(sum(fct_orders.net_amount_usd), 0) as amount_usd
    from {{ ref('fct_orders') }} as fct_orders
    cross join context
    where
        fct_orders.is_counted
        and {{ utc_month('fct_orders.ordered_at') }} <= context.last_month

),

invoices as (

    select coalesce(sum(fct_invoices.paid_amount_usd), 0) as amount_usd
    from {{ ref('fct_invoices') }} as fct_invoices
    cross join context
    where
        fct_invoices.status = 'paid'
        and not fct_invoices.is_test
        and {{ utc_month('fct_invoices.paid_at') }} <= context.last_month

)

select
    in_the_mart.amount_usd as in_the_mart_usd,
    orders.amount_usd as orders_usd,
    invoices.amount_usd as invoices_usd
from in_the_mart
cross join orders
cross join invoices
where in_the_mart.amount_usd <> orders.amount_usd + invoices.amount_usd
