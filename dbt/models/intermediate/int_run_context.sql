-- Grain: one row, the run that the models are built for.
with

run_context as (

    select * from {{ source('ops', 'run_context') }}

),

final as (

    select
        run_id,
        as_of,
        upper(reporting_currency) as reporting_currency,
        -- as_of is exclusive: at midnight of the first of a month, that month has not begun.
        {{ utc_month("(as_of - interval '1 microsecond')") }} as last_month,
        {{ utc_day("(as_of - interval '1 microsecond')") }} as last_day
    from run_context

)

select * from final
