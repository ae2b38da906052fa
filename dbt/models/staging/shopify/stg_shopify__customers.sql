with

source as (

    {{ source_union('shopify', 'customers') }}

),

final as (

    select
        source,
        source_system,
        id::text as source_customer_id,
        {{ blank_to_null('first_name') }} as first_name,
        {{ blank_to_null('last_name') }} as last_name,
        {{ blank_to_null('email') }} as email,
        {{ blank_to_null('phone') }} as phone,
        {{ blank_to_null("default_address ->> 'country_code'") }} as country,
        verified_email as is_email_verified,
        tags,
        created_at,
        updated_at
    from source
    where _deleted_at is null

)

select * from final
