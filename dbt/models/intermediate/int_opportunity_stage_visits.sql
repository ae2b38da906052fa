-- Grain: one row per opportunity and unbroken stay in one stage. The history also has rows for
-- other changes (amount, close date): rows of the same stage in a row are one visit.
with

history as (

    select * from {{ ref('stg_salesforce__opportunity_history') }}

),

compared as (

    select
        *,
        coalesce(coalesce(stage, '') <> lag(coalesce(stage, '')) over (
            partition by source, source_opportunity_id
            order by changed_at, source_opportunity_history_id
        ), true) as is_entry
    from history

),

numbered as (

    select
        *,
        count(*) filter (where is_entry) over (
            partition by source, source_opportunity_id
            order by changed_at, source_opportunity_history_id
        ) as visit_number
    from compared

),

visits as (

    select
        source,
        source_opportunity_id,
        visit_number::integer as visit_number,
        stage,
        min(changed_at) as entered_at,
        count(*)::integer as history_rows
    from numbered
    group by source, source_opportunity_id, visit_number, stage

),

final as (

    select
        *,
        lead(entered_at) over (
            partition by source, source_opportunity_id
            order by visit_number
        ) as exited_at
    from visits

)

select * from final
