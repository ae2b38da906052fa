-- Grain: one row per living organisation record. What identity resolution reads.
with

accounts as (

    select * from {{ ref('stg_salesforce__accounts') }}

),

final as (

    select
        source,
        source_system,
        'Account' as source_object,
        source_account_id as source_id,
        name,
        website,
        country,
        industry,
        employees,
        created_at,
        updated_at
    from accounts

)

select * from final
