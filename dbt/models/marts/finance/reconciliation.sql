-- Grain: one row per source, stream and hop. Counts add up over streams within a hop; amounts are
-- check sums over currencies and mean nothing else.
with

hops as (

    select * from {{ ref('int_reconciliation_hops') }}

),

context as (

    select * from {{ ref('int_run_context') }}

),

final as (

    select
        hops.source,
        hops.stream,
        hops.hop,
        hops.source_count::bigint as source_count,
        hops.target_count::bigint as target_count,
        hops.excluded_count::bigint as excluded_count,
        (hops.source_count - hops.target_count - hops.excluded_count)::bigint as difference_count,
        hops.source_amount,
        hops.target_amount,
        hops.excluded_amount,
        case
            when hops.source_amount is not null or hops.target_amount is not null
                then
                    coalesce(hops.source_amount, 0)
                    - coalesce(hops.target_amount, 0)
                    - coalesce(hops.excluded_amount, 0)
        end as difference_amount,
        case
            when hops.excluded_count > 0 then hops.excluded_count || ' ' || hops.reason
        end as explanation,
        context.as_of
    from hops
    cross join context

)

select * from final
