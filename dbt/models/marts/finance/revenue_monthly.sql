-- Grain: one row per month, from that of the first revenue to that of the run. Everything adds up
-- over months but shop_buyers, who may come back.
with

events as (

    select * from {{ ref('int_revenue_events') }}

),

context as (

    select * from {{ ref('int_run_context') }}

),

first_month as (

    select min(month) as month
    from events

),

months as (

    select series.instant::date as month
    from first_month
    cross join context
    cross join generate_series(
        first_month.month::timestamp, context.last_month::timestamp, interval '1 month'
    ) as series (instant)

),

summed as (

    select
        months.month,
        count(*) filter (where events.kind = 'shop_order') as shop_orders,
        count(distinct events.buyer_id) filter (where events.kind = 'shop_order') as shop_buyers,
        coalesce(
            sum(events.amount_usd) filter (where events.kind = 'shop_order'), 0
        ) as shop_net_usd,
        count(*) filter (where events.kind = 'subscription_cash') as subscription_invoices_paid,
        coalesce(
            sum(events.amount_usd) filter (where events.kind = 'subscription_cash'), 0
        ) as subscription_cash_usd,
        coalesce(
            sum(events.amount_usd) filter (where events.kind = 'other_payment'), 0
        ) as other_payments_usd,
        count(events.amount) - count(events.amount_usd) as missing_fx_rates
    from months
    left join events on months.month = events.month
    group by months.month

),

final as (

    select
        month,
        shop_orders,
        shop_buyers,
        shop_net_usd,
        subscription_invoices_paid,
        subscription_cash_usd,
        shop_net_usd + subscription_cash_usd as total_usd,
        other_payments_usd,
        missing_fx_rates
    from summed

)

select * from final
