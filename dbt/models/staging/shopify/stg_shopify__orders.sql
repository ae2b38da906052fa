with

source as (

    {{ source_union('shopify', 'orders') }}

),

final as (

    select
        source,
        source_system,
        id::text as source_order_id,
        name as order_name,
        customer ->> 'id' as source_customer_id,
        {{ blank_to_null('email') }} as email,
        upper(currency) as currency,
        total_price as total_amount,
        total_discounts as discount_amount,
        total_shipping as shipping_amount,
        total_tax as tax_amount,
        financial_status,
        source_name as channel,
        test is true as is_test,
        cancelled_at is not null as is_cancelled,
        created_at as ordered_at,
        updated_at,
        cancelled_at,
        {{ json_array('line_items') }} as lines,
        {{ json_array('refunds') }} as refunds
    from source
    where _deleted_at is null

)

select * from final
