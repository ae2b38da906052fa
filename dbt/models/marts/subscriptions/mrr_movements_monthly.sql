-- Grain: one row per month, from the month of the first billing customer to that of the run.
-- Movements add up over months; levels (start, end) and rates do not.
with

mrr as (

    select * from {{ ref('fct_mrr_monthly') }}

),

retention as (

    select * from {{ ref('int_mrr_retention') }}

),

months as (

    select * from {{ ref('int_mrr_months') }}

),

movements as (

    select
        months.month,
        coalesce(sum(mrr.previous_mrr_usd), 0) as mrr_start_usd,
        coalesce(sum(mrr.movement_usd) filter (where mrr.movement = 'new'), 0) as new_usd,
        coalesce(
            sum(mrr.movement_usd) filter (where mrr.movement = 'reactivation'), 0
        ) as reactivation_usd,
        coalesce(
            sum(mrr.movement_usd) filter (where mrr.movement = 'expansion'), 0
        ) as expansion_usd,
        coalesce(
            -sum(mrr.movement_usd) filter (where mrr.movement = 'contraction'), 0
        ) as contraction_usd,
        coalesce(-sum(mrr.movement_usd) filter (where mrr.movement = 'churn'), 0) as churn_usd,
        coalesce(sum(mrr.mrr_usd), 0) as mrr_end_usd,
        coalesce(sum(mrr.active_subscriptions), 0)::integer as active_subscriptions,
        count(*) filter (where mrr.previous_mrr_usd > 0) as customers_start,
        count(*) filter (where mrr.movement = 'new') as customers_new,
        count(*) filter (where mrr.movement = 'reactivation') as customers_reactivated,
        count(*) filter (where mrr.movement = 'churn') as customers_churned,
        count(*) filter (where mrr.mrr_usd > 0) as customers_end,
        coalesce(sum(mrr.missing_fx_rates), 0)::integer as missing_fx_rates,
        coalesce(sum(mrr.carried_fx_rates), 0)::integer as carried_fx_rates
    from months
    left join mrr on months.month = mrr.month
    group by months.month

),

final as (

    select
        movements.*,
        one.net_retained_usd / nullif(one.base_usd, 0) as nrr_1m_rate,
        one.gross_retained_usd / nullif(one.base_usd, 0) as grr_1m_rate,
        twelve.net_retained_usd / nullif(twelve.base_usd, 0) as nrr_12m_rate,
        twelve.gross_retained_usd / nullif(twelve.base_usd, 0) as grr_12m_rate,
        movements.customers_churned::numeric
        / nullif(movements.customers_start, 0) as logo_churn_rate,
        (
            movements.churn_usd + movements.contraction_usd
            - movements.expansion_usd - movements.reactivation_usd
        ) / nullif(movements.mrr_start_usd, 0) as net_mrr_churn_rate
    from movements
    left join retention as one
        on movements.month = one.month and one.months_back = 1
    left join retention as twelve
        on movements.month = twelve.month and twelve.months_back = 12

)

select * from final
