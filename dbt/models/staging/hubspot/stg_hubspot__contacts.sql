with

source as (

    {{ source_union('hubspot', 'contacts') }}

),

final as (

    select
        source,
        source_system,
        id as source_contact_id,
        {{ blank_to_null('property_firstname') }} as first_name,
        {{ blank_to_null('property_lastname') }} as last_name,
        {{ blank_to_null('property_email') }} as email,
        {{ blank_to_null('property_phone') }} as phone,
        {{ blank_to_null('property_company') }} as company,
        {{ blank_to_null('property_country') }} as country,
        property_lifecyclestage as lifecycle_stage,
        created_at,
        updated_at
    from source
    where
        _deleted_at is null
        and archived is not true

)

select * from final
