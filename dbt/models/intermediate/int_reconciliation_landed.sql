-- Grain: one row per source and stream that was ever synced: the rows that its raw table holds now,
-- tombstones included. Counted in the tables themselves, whatever the engine says it put there.
with

final as (

    {{ landed_rows() }}

)

select * from final
