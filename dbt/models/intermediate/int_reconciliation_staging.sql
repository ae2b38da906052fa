-- Grain: one row per source and stream with staged rows: how many, their money, and those that the
-- mart leaves behind.
with

history as (

    select * from {{ ref('stg_salesforce__opportunity_history') }}

),

opportunities as (

    select * from {{ ref('stg_salesforce__opportunities') }}

),

orphans as (

    -- A deleted opportunity is in no mart, and its history with it.
    select
        history.source,
        'opportunity_history' as stream,
        count(*) as left_records
    from history
    left join opportunities
        on
            history.source = opportunities.source
            and history.source_opportunity_id = opportunities.source_opportunity_id
    where opportunities.source_opportunity_id is null
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
