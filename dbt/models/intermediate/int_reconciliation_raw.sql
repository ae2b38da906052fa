-- Grain: one row per source and stream with raw rows: how many, their money, and those that staging
-- leaves behind because the source deleted them or merged them away.
with

final as (

    {{ streams_at('raw') }}

)

select * from final
