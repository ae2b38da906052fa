-- Grain: one row per contact that was merged away, with the contact that stands for it today.
-- Merges chain: the survivor of one may lose the next.
with recursive

merge_steps as (

    select * from {{ ref('stg_salesforce__contact_merges') }}

),

followed as (

    select
        source,
        source_contact_id,
        master_contact_id,
        array[source_contact_id] as path
    from merge_steps
    union all
    select
        followed.source,
        followed.source_contact_id,
        merge_steps.master_contact_id,
        followed.path || merge_steps.source_contact_id as path
    from followed
    inner join merge_steps
        on
            followed.source = merge_steps.source
            and followed.master_contact_id = merge_steps.source_contact_id
    -- Salesforce allows no circle; data that was repaired by hand might.
    where not merge_steps.source_contact_id = any(followed.path)

),

final as (

    select distinct on (source, source_contact_id)
        source,
        source_contact_id,
        master_contact_id as surviving_contact_id
    from followed
    order by source asc, source_contact_id asc, cardinality(path) desc

)

select * from final
