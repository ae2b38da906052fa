-- Grain: one row per subscription with items: its price per month before discounts.
with

items as (

    select * from {{ ref('stg_stripe__subscription_items') }}

),

normalised as (

    select
        source,
        source_subscription_id,
        -- Metered items have no price in advance; tiered ones have no unit amount.
        case when is_metered then 0 else coalesce(unit_amount * quantity, 0) end as amount,
        case billing_interval
            when 'day' then 365
            when 'week' then 52
            when 'month' then 12
            when 'year' then 1
        end as intervals_per_year,
        billing_interval_count
    from items

),

final as (

    select
        source,
        source_subscription_id,
        -- Multiply first: one division, so that 12/12 stays exact.
        sum(amount * intervals_per_year / (12 * billing_interval_count)) as mrr_amount,
        -- How often a month an invoice is written; a fixed discount comes off every one.
        max(intervals_per_year / (12.0 * billing_interval_count)) as invoices_per_month
    from normalised
    group by source, source_subscription_id

)

select * from final
