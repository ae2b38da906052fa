-- Grain: one row per month and number of months looked back (1, 12) where MRR was above 0 then.
-- What the customers of back then pay now; who came later is left out.
with

mrr as (

    select * from {{ ref('fct_mrr_monthly') }}

),

context as (

    select * from {{ ref('int_run_context') }}

),

base as (

    select
        mrr.customer_id,
        mrr.mrr_usd,
        lookback.months as months_back,
        (mrr.month + make_interval(months => lookback.months))::date as month
    from mrr
    cross join (values (1), (12)) as lookback (months)
    where mrr.mrr_usd > 0

),

final as (

    select
        base.month,
        base.months_back,
        sum(base.mrr_usd) as base_usd,
        sum(coalesce(mrr.mrr_usd, 0)) as net_retained_usd,
        sum(least(coalesce(mrr.mrr_usd, 0), base.mrr_usd)) as gross_retained_usd
    from base
    cross join context
    left join mrr
        on
            base.customer_id = mrr.customer_id
            and base.month = mrr.month
    where base.month <= context.last_month
    group by base.month, base.months_back

)

select * from final
