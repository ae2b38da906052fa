-- Grain: one row per source and stream that arrived in its mart: how many staged rows the mart's
-- rows stand for, and their money.
with

final as (

    {{ streams_at('mart') }}

)

select * from final
