-- Money that was taken for an order of the shop is that order. A charge whose order no configured
-- shop has counts as another payment: it may be late, deleted, or of a shop that is not configured.
{{ config(severity='warn') }}

with

charges as (

    select * from {{ ref('stg_stripe__charges') }}

),

payments as (

    select * from {{ ref('fct_payments') }}

)

select
    payments.payment_id,
    charges.shopify_order_id
from payments
inner join charges
    on
        payments.source = charges.source
        and payments.source_payment_id = charges.source_payment_id
where
    charges.shopify_order_id is not null
    and payments.settles_order_id is null
    and payments.status = 'succeeded'
    and not payments.is_test
