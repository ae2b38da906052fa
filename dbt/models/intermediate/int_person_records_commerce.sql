-- Grain: one row per living person record of the payment system and the shop, guest orders
-- included. These systems know no employer.
with

stripe_customers as (

    select * from {{ ref('stg_stripe__customers') }}

),

shopify_customers as (

    select * from {{ ref('stg_shopify__customers') }}

),

orders as (

    select * from {{ ref('stg_shopify__orders') }}

),

buyers as (

    select * from {{ ref('int_shop_order_buyers') }}

),

final as (

    -- Stripe keeps no time of change, and one name for a person or a company.
    select
        source,
        source_system,
        'customers' as source_object,
        source_customer_id as source_id,
        email,
        phone,
        full_name,
        null as first_name,
        null as last_name,
        null as country,
        created_at,
        created_at as updated_at
    from stripe_customers
    union all
    select
        source,
        source_system,
        'customers' as source_object,
        source_customer_id as source_id,
        email,
        phone,
        nullif(concat_ws(' ', first_name, last_name), '') as full_name,
        first_name,
        last_name,
        country,
        created_at,
        updated_at
    from shopify_customers
    union all
    select
        orders.source,
        orders.source_system,
        'orders' as source_object,
        orders.source_order_id as source_id,
        orders.email,
        null as phone,
        null as full_name,
        null as first_name,
        null as last_name,
        null as country,
        orders.ordered_at as created_at,
        orders.updated_at
    from orders
    inner join buyers
        on
            orders.source = buyers.source
            and orders.source_order_id = buyers.source_order_id
    where buyers.is_guest

)

select * from final
