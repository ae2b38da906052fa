-- Grain: one row per subscription and month at whose last instant it carries MRR above 0.
-- The month that is not over yet is measured at the last instant before as_of.
with

subscriptions as (

    select * from {{ ref('int_subscriptions') }}

),

levels as (

    select * from {{ ref('int_subscription_levels') }}

),

context as (

    select * from {{ ref('int_run_context') }}

),

rates as (

    select * from {{ ref('int_fx_rates_carried') }}

),

months as (

    select
        subscriptions.*,
        months.instant::date as month,
        least(
            (months.instant + interval '1 month') at time zone 'utc', context.as_of
        ) as measured_to
    from subscriptions
    cross join context
    cross join generate_series(
        {{ utc_month('subscriptions.paying_from') }}::timestamp,
        least({{ utc_month('subscriptions.paying_until') }}, context.last_month)::timestamp,
        interval '1 month'
    ) as months (instant)

),

final as (

    select
        months.source,
        months.source_subscription_id,
        months.paying_customer_id,
        months.month,
        months.currency,
        levels.mrr_amount,
        {{ to_reporting('levels.mrr_amount', 'rates.rate') }} as mrr_amount_usd,
        coalesce(rates.is_carried, false) as is_rate_carried
    from months
    inner join levels
        on
            months.source = levels.source
            and months.source_subscription_id = levels.source_subscription_id
            -- The last instant belongs to the stretch that is open just before measured_to.
            and months.measured_to > levels.valid_from
            and (months.measured_to <= levels.valid_until or levels.valid_until is null)
    left join rates
        on
            months.currency = rates.currency
            and months.month = rates.month
    where
        months.paying_from < months.measured_to
        and (months.paying_until >= months.measured_to or months.paying_until is null)
        and levels.mrr_amount > 0

)

select * from final
