-- Grain: one row per resolved person. orders, net_usd and mrr_usd add up over customers. The
-- opportunity columns are those of the customer's organisation, the same for all its people: they
-- never add up here; use fct_opportunities.
with

customers as (

    select * from {{ ref('dim_customers') }}

),

orders as (

    select * from {{ ref('fct_orders') }}

),

mrr as (

    select * from {{ ref('fct_mrr_monthly') }}

),

opportunities as (

    select * from {{ ref('fct_opportunities') }}

),

context as (

    select * from {{ ref('int_run_context') }}

),

bought as (

    select
        customer_id,
        count(*) as orders,
        sum(net_amount_usd) as net_usd,
        count(*) - count(net_amount_usd) as orders_without_rate,
        min(ordered_at) as first_order_at,
        max(ordered_at) as last_order_at
    from orders
    where is_counted
    group by customer_id

),

current_mrr as (

    select
        mrr.customer_id,
        mrr.mrr_usd
    from mrr
    inner join context on mrr.month = context.last_month

),

deals as (

    select
        account_id,
        count(*) filter (where not is_closed) as open_opportunities,
        sum(amount_usd) filter (where not is_closed) as open_amount_usd,
        sum(amount_usd) filter (where is_won) as won_amount_usd
    from opportunities
    group by account_id

),

final as (

    select
        customers.*,
        coalesce(bought.orders, 0) as orders,
        coalesce(bought.net_usd, 0) as net_usd,
        coalesce(bought.orders_without_rate, 0) as orders_without_rate,
        bought.first_order_at,
        bought.last_order_at,
        coalesce(current_mrr.mrr_usd, 0) as mrr_usd,
        coalesce(deals.open_opportunities, 0) as open_opportunities,
        coalesce(deals.open_amount_usd, 0) as open_amount_usd,
        coalesce(deals.won_amount_usd, 0) as won_amount_usd,
        -- The systems that these are read from are not connected yet.
        null::timestamptz as last_activity_at,
        null::bigint as open_tickets,
        null::text as rfm_segment,
        null::numeric as health_score
    from customers
    left join bought on customers.customer_id = bought.customer_id
    left join current_mrr on customers.customer_id = current_mrr.customer_id
    left join deals on customers.account_id = deals.account_id

)

select * from final
