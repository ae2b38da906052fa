-- Grain: one row per opportunity and visit to a stage, in order. days_in_stage adds up over the
-- visits of one opportunity or one stage.
with

visits as (

    select * from {{ ref('int_opportunity_stage_visits') }}

),

opportunities as (

    select * from {{ ref('fct_opportunities') }}

),

context as (

    select * from {{ ref('int_run_context') }}

),

bounded as (

    select
        opportunities.opportunity_id,
        opportunities.source,
        visits.visit_number,
        visits.stage,
        visits.entered_at,
        visits.exited_at,
        visits.history_rows,
        -- A closed deal rests in its last stage: only an open one is still waiting there.
        case
            when visits.exited_at is not null then visits.exited_at
            when not opportunities.is_closed then greatest(context.as_of, visits.entered_at)
        end as stayed_to
    from visits
    inner join opportunities
        on
            visits.source = opportunities.source
            and visits.source_opportunity_id = opportunities.source_opportunity_id
    cross join context

),

final as (

    select
        opportunity_id,
        visit_number,
        source,
        stage,
        entered_at,
        exited_at,
        extract(epoch from stayed_to - entered_at) / 86400 as days_in_stage,
        history_rows
    from bounded

)

select * from final
