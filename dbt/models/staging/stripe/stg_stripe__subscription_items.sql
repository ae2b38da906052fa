-- Grain: one row per item of a subscription, unnested, with its price.
with

source as (

    {{ source_union('stripe', 'subscriptions') }}

),

items as (

    select
        source.source,
        source.source_system,
        source.id as source_subscription_id,
        source.currency,
        item.position as item_number,
        item.value as item,
        item.value -> 'price' as price
    from source
    cross join
        jsonb_array_elements({{ json_array("source.items -> 'data'") }})
        with ordinality as item (value, position)
    where source._deleted_at is null

),

final as (

    select
        source,
        source_system,
        source_subscription_id,
        item_number,
        price ->> 'id' as source_price_id,
        upper(currency) as currency,
        -- A price of less than a cent has unit_amount_decimal only.
        {{ minor_to_major(
            "coalesce(price ->> 'unit_amount', price ->> 'unit_amount_decimal')::numeric",
            "currency"
        ) }} as unit_amount,
        -- A licensed item without a quantity is one unit.
        coalesce((item ->> 'quantity')::numeric, 1) as quantity,
        price #>> '{recurring,interval}' as billing_interval,
        coalesce((price #>> '{recurring,interval_count}')::integer, 1) as billing_interval_count,
        coalesce(price #>> '{recurring,usage_type}' = 'metered', false) as is_metered
    from items

)

select * from final
