-- Grain: one row per invoice. Cash received is paid_amount_usd of paid, real invoices
-- (status = 'paid' and not is_test), by paid_at; total_amount of other invoices is a claim.
with

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

customer_links as (

    select * from {{ ref('int_customer_links') }}

),

rates as (

    select * from {{ ref('int_fx_rates') }}

),

dated as (

    select
        *,
        -- Invoices written before Stripe kept status transitions have no paid_at.
        case when status = 'paid' then coalesce(paid_at, invoiced_at) end as cash_at
    from invoices

),

final as (

    select
        dated.source || ':' || dated.source_invoice_id as invoice_id,
        dated.source,
        dated.source_system,
        dated.source_invoice_id,
        customer_links.customer_id,
        dated.source || ':' || dated.source_subscription_id as subscription_id,
        dated.status,
        dated.invoiced_at,
        dated.cash_at as paid_at,
        dated.currency,
        dated.total_amount,
        dated.paid_amount,
        {{ to_reporting('dated.paid_amount', 'rates.rate') }} as paid_amount_usd,
        dated.is_test
    from dated
    left join customer_links
        on
            dated.source = customer_links.source
            and customer_links.source_object = 'customers'
            and dated.source_customer_id = customer_links.source_id
    left join rates
        on
            dated.currency = rates.currency
            and {{ utc_month('coalesce(dated.cash_at, dated.invoiced_at)') }} = rates.month

)

select * from final
