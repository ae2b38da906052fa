-- Grain: one row per contact that was merged into another. The loser of a merge is deleted in
-- Salesforce, yet other systems go on naming its id.
with

source as (

    {{ source_union('salesforce', 'contact') }}

),

final as (

    select
        source,
        source_system,
        id as source_contact_id,
        master_record_id as master_contact_id
    from source
    where master_record_id is not null

)

select * from final
