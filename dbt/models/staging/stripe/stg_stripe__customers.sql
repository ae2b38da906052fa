with

source as (

    {{ source_union('stripe', 'customers') }}

),

final as (

    select
        source,
        source_system,
        id as source_customer_id,
        {{ blank_to_null('email') }} as email,
        {{ blank_to_null('phone') }} as phone,
        {{ blank_to_null('name') }} as full_name,
        upper(currency) as currency,
        delinquent as is_delinquent,
        livemode is false as is_test,
        metadata ->> 'crm_contact_id' as crm_contact_id,
        {{ epoch_to_timestamp('created') }} as created_at
    from source
    where _deleted_at is null

)

select * from final
