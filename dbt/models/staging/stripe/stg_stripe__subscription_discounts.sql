-- Grain: one row per discount on a subscription, unnested, with its coupon.
-- Stripe sent one `discount` object, later an array `discounts`; the array wins where both are
-- there, since they then show the same discount. Bare ids in it (not expanded) say nothing.
with

source as (

    {{ source_union('stripe', 'subscriptions') }}

),

listed as (

    select
        source,
        source_system,
        id as source_subscription_id,
        currency,
        case
            when jsonb_path_exists(discounts, '$[*] ? (@.type() == "object")') then discounts
            else jsonb_build_array(discount)
        end as discounts
    from source
    where _deleted_at is null

),

coupons as (

    select
        listed.source,
        listed.source_system,
        listed.source_subscription_id,
        listed.currency,
        item.position as discount_number,
        item.value as discount,
        coalesce(item.value -> 'coupon', item.value #> '{source,coupon}') as coupon
    from listed
    cross join
        jsonb_array_elements(listed.discounts)
        with ordinality as item (value, position)
    where jsonb_typeof(item.value) = 'object'

),

final as (

    select
        source,
        source_system,
        source_subscription_id,
        discount_number,
        coupon ->> 'duration' as duration,
        (coupon ->> 'percent_off')::numeric / 100 as off_rate,
        {{ minor_to_major("(coupon ->> 'amount_off')::numeric", "currency") }} as off_amount,
        {{ epoch_to_timestamp("(discount ->> 'start')::bigint") }} as started_at
    from coupons
    where jsonb_typeof(coupon) = 'object'

)

select * from final
