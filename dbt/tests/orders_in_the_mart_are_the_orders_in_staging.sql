-- Every order of staging is in the mart once, with its money.
with

staged as (

    select
        source,
        count(*) as orders,
        coalesce(sum(total_amount), 0) as total_amount
    from {{ ref('stg_shopify__orders') }}
    group by source

),

published as (

    select
        source,
        count(*) as orders,
        coalesce(sum(total_amount), 0) as total_amount
    from {{ ref('fct_orders') }}
    group by source

)

select
    coalesce(staged.source, published.source) as source,
    staged.orders as staged_orders,
    published.orders as published_orders,
    staged.total_amount as staged_amount,
    published.total_amount as published_amount
from staged
full outer join published on staged.source = published.source
where
    (staged.orders, staged.total_amount)
    is distinct from (published.orders, published.total_amount)
