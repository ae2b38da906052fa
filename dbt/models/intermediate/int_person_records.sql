-- Grain: one row per living person record of any system. What identity resolution reads.
with

crm as (

    select * from {{ ref('int_person_records_crm') }}

),

commerce as (

    select * from {{ ref('int_person_records_commerce') }}

),

final as (

    select * from crm
    union all
    select
        source,
        source_system,
        source_object,
        source_id,
        email,
        phone,
        full_name,
        first_name,
        last_name,
        country,
        null as company,
        null as account_source_id,
        created_at,
        updated_at
    from commerce

)

select * from final
