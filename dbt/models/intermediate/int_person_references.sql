-- Grain: one row per statement of one person record that it is the same person as another, kept
-- only while the other record lives.
with

stripe_customers as (

    select * from {{ ref('stg_stripe__customers') }}

),

charges as (

    select * from {{ ref('stg_stripe__charges') }}

),

contact_merges as (

    select * from {{ ref('int_contact_merges') }}

),

contacts as (

    select * from {{ ref('stg_salesforce__contacts') }}

),

buyers as (

    select * from {{ ref('int_shop_order_buyers') }}

),

crm_contacts as (

    select
        stripe_customers.source,
        stripe_customers.source_customer_id,
        'salesforce' as ref_source_system,
        'Contact' as ref_object,
        contacts.source_contact_id as ref_id,
        'stripe_crm_contact_id' as rule
    from stripe_customers
    left join contact_merges
        on stripe_customers.crm_contact_id = contact_merges.source_contact_id
    inner join contacts
        on
            coalesce(contact_merges.surviving_contact_id, stripe_customers.crm_contact_id)
            = contacts.source_contact_id

),

paid_orders as (

    -- A failed charge names the buyer as well as a paid one; a test charge names nobody.
    select
        charges.source,
        charges.source_customer_id,
        'shopify' as ref_source_system,
        buyers.person_object as ref_object,
        buyers.person_id as ref_id,
        'shop_order_payment' as rule
    from charges
    inner join stripe_customers
        on
            charges.source = stripe_customers.source
            and charges.source_customer_id = stripe_customers.source_customer_id
    inner join buyers
        on charges.shopify_order_id = buyers.source_order_id
    where not charges.is_test

),

final as (

    -- Distinct: one buyer pays many orders, an order may be charged twice.
    select distinct
        source,
        'customers' as source_object,
        source_customer_id as source_id,
        ref_source_system,
        ref_object,
        ref_id,
        rule
    from (
        select * from crm_contacts
        union all
        select * from paid_orders
    ) as statements

)

select * from final
