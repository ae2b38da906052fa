-- A leap day, a first of January in the ISO week of the year before, a last of December in that of
-- the year after: each is in the calendar, with the attributes it really has.
with

known (day, quarter, month, iso_year, iso_week, day_of_week, is_weekend, is_month_end) as (

    values
    ('2000-01-01'::date, 1, '2000-01-01'::date, 1999, 52, 6, true, false),
    ('2000-02-29', 1, '2000-02-01', 2000, 9, 2, false, true),
    ('2001-12-31', 4, '2001-12-01', 2002, 1, 1, false, true)

),

calendar as (

    select * from {{ ref('dim_dates') }}

)

select known.*
from known
left join calendar
    on
        known.day = calendar.day
        and known.quarter = calendar.quarter
        and known.month = calendar.month
        and known.iso_year = calendar.iso_year
        and known.iso_week = calendar.iso_week
        and known.day_of_week = calendar.day_of_week
        and known.is_weekend = calendar.is_weekend
        and known.is_month_end = calendar.is_month_end
where calendar.day is null
