-- Grain: one row per calendar day, from 2000 to the end of the year after the run.
with

context as (

    select * from {{ ref('int_run_context') }}

),

days as (

    select
        spine.instant::date as day,
        context.last_day
    from context
    cross join generate_series(
        timestamp '2000-01-01',
        date_trunc('year', context.last_day::timestamp) + interval '2 years' - interval '1 day',
        interval '1 day'
    ) as spine (instant)

),

final as (

    select
        day,
        extract(year from day)::integer as year,
        extract(quarter from day)::integer as quarter,
        date_trunc('month', day)::date as month,
        to_char(day, 'FMMonth') as month_name,
        extract(isoyear from day)::integer as iso_year,
        extract(week from day)::integer as iso_week,
        extract(isodow from day)::integer as day_of_week,
        to_char(day, 'FMDay') as day_name,
        extract(isodow from day) >= 6 as is_weekend,
        day = (date_trunc('month', day) + interval '1 month' - interval '1 day')::date
            as is_month_end,
        day <= last_day as is_elapsed
    from days

)

select * from final
