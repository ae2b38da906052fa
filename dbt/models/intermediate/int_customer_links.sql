-- Grain: one row per record that facts name their customer by: every linked person record, and the
-- deleted Stripe customers that subscriptions, invoices or charges still hang on. Money that was
-- paid stays with the person who paid it.
with

links as (

    select * from {{ source('identity', 'customer_links') }}

),

former_links as (

    select * from {{ source('identity', 'customer_former_links') }}

),

aliases as (

    select * from {{ source('identity', 'customer_aliases') }}

),

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

charges as (

    select * from {{ ref('stg_stripe__charges') }}

),

payers as (

    select
        source,
        source_customer_id
    from subscriptions
    union distinct
    select
        source,
        source_customer_id
    from invoices
    union distinct
    select
        source,
        source_customer_id
    from charges

),

former_payers as (

    select
        former_links.source,
        former_links.source_object,
        former_links.source_id,
        -- Whom the person was merged with since does not rewrite the links of the departed.
        coalesce(aliases.customer_id, former_links.customer_id) as customer_id
    from former_links
    inner join payers
        on
            former_links.source = payers.source
            and former_links.source_id = payers.source_customer_id
    left join aliases
        on former_links.customer_id = aliases.retired_id
    where former_links.source_object = 'customers'

),

final as (

    select
        source,
        source_object,
        source_id,
        customer_id
    from links
    union all
    select * from former_payers

)

select * from final
