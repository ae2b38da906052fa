-- Grain: one row per subscription and price level: the list price, then the price after each
-- discount `forever`, from the moment it was given. `once` and `repeating` do not change MRR.
with recursive

list_prices as (

    select * from {{ ref('int_subscription_list_prices') }}

),

subscriptions as (

    select * from {{ ref('int_subscriptions') }}

),

discounts as (

    select
        source,
        source_subscription_id,
        coalesce(off_rate, 0) as off_rate,
        coalesce(off_amount, 0) as off_amount,
        started_at,
        row_number() over (
            partition by source, source_subscription_id
            order by started_at nulls first, discount_number
        ) as level_number
    from {{ ref('stg_stripe__subscription_discounts') }}
    where duration = 'forever'

),

levels as (

    select
        subscriptions.source,
        subscriptions.source_subscription_id,
        0::bigint as level_number,
        subscriptions.started_at as valid_from,
        coalesce(list_prices.mrr_amount, 0) as mrr_amount,
        list_prices.invoices_per_month
    from subscriptions
    left join list_prices
        on
            subscriptions.source = list_prices.source
            and subscriptions.source_subscription_id = list_prices.source_subscription_id
    union all
    select
        levels.source,
        levels.source_subscription_id,
        discounts.level_number,
        greatest(levels.valid_from, discounts.started_at) as valid_from,
        greatest(
            levels.mrr_amount * (1 - discounts.off_rate)
            - discounts.off_amount * levels.invoices_per_month,
            0
        ) as mrr_amount,
        levels.invoices_per_month
    from levels
    inner join discounts
        on
            levels.source = discounts.source
            and levels.source_subscription_id = discounts.source_subscription_id
            and discounts.level_number = levels.level_number + 1

),

final as (

    select
        source,
        source_subscription_id,
        level_number,
        mrr_amount,
        valid_from,
        lead(valid_from) over (
            partition by source, source_subscription_id
            order by level_number
        ) as valid_until
    from levels

)

select * from final
