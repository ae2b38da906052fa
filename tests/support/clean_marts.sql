-- The smallest company whose marts agree with each other: two customers, one account, as of
-- 2025-04-01. Column names are those of the marts' contract.
create schema if not exists intermediate;

create table intermediate.int_person_records as
select * from (values
    ('salesforce', 'Contact', '003A'), ('stripe', 'customers', 'cus_1'), ('shopify', 'customers', '1')
) as records (source, source_object, source_id);

create table intermediate.int_account_records as
select 'salesforce' as source, 'Account' as source_object, '001A' as source_id;

create table marts_build.dim_accounts as
select
    'a1' as account_id, 'Northwind' as name, 'northwind.example' as domain, 'Media' as industry,
    'DE' as country_code, 10::bigint as employees, timestamptz '2025-01-01Z' as first_seen_at,
    1::bigint as record_count;

create table marts_build.account_identities as
select
    source, 'salesforce' as source_system, source_object, source_id, 'a1' as account_id,
    'single' as match_rule, 1::numeric as match_probability
from intermediate.int_account_records;

create table marts_build.dim_customers as
select
    customer_id, full_name, split_part(full_name, ' ', 1) as first_name,
    split_part(full_name, ' ', 2) as last_name, email, null::text as phone, 'DE' as country_code,
    account_id, timestamptz '2025-01-01Z' as first_seen_at, timestamptz '2025-03-01Z' as last_seen_at,
    source_systems, record_count::bigint as record_count
from (values
    ('c1', 'Mia Chen', 'mia.chen@northwind.example', 'a1', array['salesforce', 'stripe'], 2),
    ('c2', 'Tariq Singh', 'tariq.singh@mail.example', null, array['shopify'], 1),
    -- All records are deleted; the payment y3 keeps the customer.
    ('c3', null, null, null, array[]::text[], 0)
) as people (customer_id, full_name, email, account_id, source_systems, record_count);

create table marts_build.customer_identities as
select
    source, source as source_system, source_object, source_id,
    case when source = 'shopify' then 'c2' else 'c1' end as customer_id,
    'email' as match_rule, 0.99::numeric as match_probability
from intermediate.int_person_records;

create table marts_build.dim_fx_rates as
select month::date as month, 'EUR' as currency, rate as usd_per_unit
from (values ('2025-02-01', 1.10), ('2025-03-01', 1.12)) as rates (month, rate);

create table marts_build.dim_dates as
select day::date as day from generate_series('2025-02-01'::date, '2025-04-30', interval '1 day') as days (day);

create table marts_build.fct_opportunities as
select
    opportunity_id, 'salesforce' as source, opportunity_id as source_opportunity_id,
    'a1' as account_id, null::text as owner_id, 'A deal' as name, stage, null::text as forecast_category,
    probability_rate, amount, currency, amount_usd, timestamptz '2025-03-01Z' as created_at,
    date '2025-03-11' as close_date, closed_at, is_closed, is_closed as is_won, cycle_days
from (values
    ('o1', 'Proposal', 0.5, 100.0, 'EUR', 112.0, null, false, null),
    ('o2', 'Closed Won', 1.0, 200.0, 'USD', 200.0, timestamptz '2025-03-11Z', true, 10)
) as deals (
    opportunity_id, stage, probability_rate, amount, currency, amount_usd, closed_at, is_closed,
    cycle_days
);

create table marts_build.fct_opportunity_stage_visits as
select
    opportunity_id, visit_number, stage, entered_at::timestamptz as entered_at,
    exited_at::timestamptz as exited_at, days_in_stage
from (values
    ('o1', 1, 'Prospecting', '2025-03-01Z', '2025-03-05Z', 4.0),
    ('o1', 2, 'Proposal', '2025-03-05Z', null, 27.0),
    ('o2', 1, 'Closed Won', '2025-03-11Z', null, null)
) as visits (opportunity_id, visit_number, stage, entered_at, exited_at, days_in_stage);

create table marts_build.pipeline_by_stage as
select
    stage, count(*) as opportunities, sum(amount_usd) as amount_usd,
    sum(amount_usd * probability_rate) as weighted_amount_usd, bool_and(is_closed) as is_closed,
    bool_and(is_won) as is_won
from marts_build.fct_opportunities
group by stage;

create table marts_build.fct_orders as
select
    order_id, 'shopify' as source, order_id as source_order_id, 'c2' as customer_id,
    timestamptz '2025-03-10Z' as ordered_at, 'USD' as currency, 100.00 as gross_amount,
    10.00 as discount_amount, 5.00 as tax_amount, 5.00 as shipping_amount, refund_amount,
    100.00 - refund_amount as net_amount, 100.00 - refund_amount as net_amount_usd, is_test,
    false as is_cancelled, not is_test as is_counted
from (values ('r1', 20.00, false), ('r2', 0.00, true)) as orders (order_id, refund_amount, is_test);

create table marts_build.fct_order_lines as
select
    'l1' as order_line_id, 'r1' as order_id, 'p1' as product_id, 'SKU-1' as sku, 2::bigint as quantity,
    50.00 as unit_amount, 10.00 as discount_amount, 90.00 as net_amount;

create table marts_build.fct_refunds as
select
    'f1' as refund_id, 'r1' as order_id, timestamptz '2025-03-12Z' as refunded_at, 'USD' as currency,
    20.00 as amount, 20.00 as amount_usd;

create table marts_build.fct_subscriptions as
select
    's1' as subscription_id, 'stripe' as source, 'sub_1' as source_subscription_id, 'c1' as customer_id,
    'active' as status, timestamptz '2025-02-01Z' as started_at, null::timestamptz as trial_ended_at,
    null::timestamptz as ended_at, 'USD' as currency, 30.00 as mrr_amount, 30.00 as mrr_amount_usd;

create table marts_build.fct_invoices as
select
    'i1' as invoice_id, 'stripe' as source, 'in_1' as source_invoice_id, 'c1' as customer_id,
    's1' as subscription_id, 'paid' as status, timestamptz '2025-03-01Z' as invoiced_at,
    timestamptz '2025-03-02Z' as paid_at, 'USD' as currency, 30.00 as total_amount,
    30.00 as paid_amount, 30.00 as paid_amount_usd, false as is_test;

create table marts_build.fct_payments as
select
    payment_id, 'stripe' as source, payment_id as source_payment_id, customer_id,
    timestamptz '2025-03-02Z' as paid_at, 'succeeded' as status, 'USD' as currency, amount,
    refunded_amount, amount as amount_usd, false as is_test, settles_order_id, settles_invoice_id
from (values
    ('y1', 'c1', 100.00, 20.00, 'r1', null), ('y2', 'c1', 30.00, 0.00, null, 'i1'),
    ('y3', 'c3', 5.00, 0.00, null, null)
) as payments (
    payment_id, customer_id, amount, refunded_amount, settles_order_id, settles_invoice_id
);

create table marts_build.fct_mrr_monthly as
select
    'c1' as customer_id, month::date as month, mrr_usd, previous_mrr_usd, movement,
    mrr_usd - previous_mrr_usd as movement_usd, 1 as active_subscriptions, 0 as missing_fx_rates,
    0 as carried_fx_rates
from (values ('2025-02-01', 20.0, 0.0, 'new'), ('2025-03-01', 30.0, 20.0, 'expansion')) as months (
    month, mrr_usd, previous_mrr_usd, movement
);

create table marts_build.mrr_movements_monthly as
select
    month::date as month, mrr_start_usd, new_usd, 0.0 as reactivation_usd, expansion_usd,
    0.0 as contraction_usd, 0.0 as churn_usd, mrr_end_usd, 1 as active_subscriptions, customers_start,
    1 - customers_start as customers_new, 0 as customers_reactivated, 0 as customers_churned,
    1 as customers_end, nrr_1m_rate, grr_1m_rate, null::numeric as nrr_12m_rate,
    null::numeric as grr_12m_rate, logo_churn_rate, null::numeric as net_mrr_churn_rate
from (values
    ('2025-02-01', 0.0, 20.0, 0.0, 20.0, 0, null, null, null),
    ('2025-03-01', 20.0, 0.0, 10.0, 30.0, 1, 1.5, 1.0, 0.0)
) as months (
    month, mrr_start_usd, new_usd, expansion_usd, mrr_end_usd, customers_start, nrr_1m_rate,
    grr_1m_rate, logo_churn_rate
);

create table marts_build.revenue_monthly as
select
    date '2025-03-01' as month, 1 as shop_orders, 1 as shop_buyers, 80.00 as shop_net_usd,
    1 as subscription_invoices_paid, 30.00 as subscription_cash_usd, 110.00 as total_usd;

create table marts_build.customer_360 as
select
    dim_customers.*, (customer_id = 'c2')::integer as orders,
    case customer_id when 'c2' then 80.00 else 0 end as net_usd,
    case customer_id when 'c2' then timestamptz '2025-03-10Z' end as first_order_at,
    case customer_id when 'c2' then timestamptz '2025-03-10Z' end as last_order_at,
    case customer_id when 'c1' then 30.00 else 0 end as mrr_usd
from marts_build.dim_customers;

create table marts_build.reconciliation as
select
    'shopify' as source, 'orders' as stream, 'raw to mart' as hop, 2::bigint as source_count,
    2::bigint as target_count, 0::bigint as excluded_count, 0::bigint as difference_count,
    200.00 as source_amount, 200.00 as target_amount, 0.00 as excluded_amount,
    0.00 as difference_amount, timestamptz '2025-04-01Z' as as_of;
