-- Grain: one row per source and stream with staged rows: how many, their money, and those that the
-- mart leaves behind.
with

history as (

    select * from {{ ref('stg_salesforce__opportunity_history') }}

),

raw_opportunities as (

    {{ source_union('salesforce', 'opportunity') }}

),

orphans as (

    -- A deleted opportunity is in no mart, and its history with it. History whose opportunity was
    -- never seen is not explained by that: it is a difference.
    select
        history.source,
        'opportunity_history' as stream,
        count(*) as left_records
    from history
    inner join raw_opportunities
        on
            history.source = raw_opportunities.source
            and history.source_opportunity_id = raw_opportunities.id
    where
        raw_opportunities._deleted_at is not null
        or raw_opportunities.is_deleted is true
    group by history.source

),

counted as (

    {{ streams_at('staging') }}

),

final as (

    select
        counted.*,
        coalesce(orphans.left_records, 0) as left_records
    from counted
    left join orphans
        on
            counted.source = orphans.source
            and counted.stream = orphans.stream

)

select * from final
