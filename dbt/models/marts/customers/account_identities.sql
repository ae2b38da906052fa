-- Grain: one row per living organisation record of a source. Rows may be counted.
with

records as (

    select * from {{ ref('int_account_records') }}

),

links as (

    select * from {{ source('identity', 'account_links') }}

),

final as (

    select
        records.source,
        records.source_system,
        records.source_object,
        records.source_id,
        links.account_id,
        links.match_rule,
        links.match_probability,
        links.linked_at
    from records
    inner join links
        on
            records.source = links.source
            and records.source_object = links.source_object
            and records.source_id = links.source_id

)

select * from final
