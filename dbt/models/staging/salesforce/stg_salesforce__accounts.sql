with

source as (

    {{ source_union('salesforce', 'account') }}

),

final as (

    select
        source,
        source_system,
        id as source_account_id,
        {{ blank_to_null('name') }} as name,
        {{ blank_to_null('website') }} as website,
        {{ blank_to_null('industry') }} as industry,
        number_of_employees as employees,
        annual_revenue,
        {{ blank_to_null('billing_country') }} as country,
        owner_id as source_owner_id,
        created_date as created_at,
        system_modstamp as updated_at
    from source
    where
        _deleted_at is null
        and is_deleted is not true

)

select * from final
