with

source as (

    {{ source_union('salesforce', 'contact') }}

),

final as (

    select
        source,
        source_system,
        id as source_contact_id,
        account_id as source_account_id,
        {{ blank_to_null('first_name') }} as first_name,
        {{ blank_to_null('last_name') }} as last_name,
        {{ blank_to_null('email') }} as email,
        {{ blank_to_null('phone') }} as phone,
        {{ blank_to_null('mailing_country') }} as country,
        lead_source,
        owner_id as source_owner_id,
        created_date as created_at,
        system_modstamp as updated_at
    from source
    where
        _deleted_at is null
        and is_deleted is not true
        and master_record_id is null

)

select * from final
