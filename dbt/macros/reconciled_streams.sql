{#-
    Every staged stream, with what the reconciliation counts at each stop. For a new stream add a
    row here.
      system, stream   kind of system and raw table
      left_behind      raw rows that staging drops, as a condition over raw columns
      raw_amount       money of a raw row in major units of its own currency; none = no money
      staging          the staging model; amount its money
      mart             the mart its rows arrive in; mart_rows how many of them a mart row stands for
      mart_where       which rows of a shared mart are this stream's
      mart_amount      the same money in the mart
-#}
{% macro reconciled_streams() -%}
    {%- set tombstone = "_deleted_at is not null" -%}
    {%- set binned = tombstone ~ " or is_deleted is true" -%}
    {{ return([
        {
            'system': 'salesforce', 'stream': 'account', 'left_behind': binned,
            'staging': 'stg_salesforce__accounts',
            'mart': 'account_identities', 'mart_where': "source_object = 'Account'",
        },
        {
            'system': 'salesforce', 'stream': 'contact',
            'left_behind': binned ~ " or master_record_id is not null",
            'staging': 'stg_salesforce__contacts',
            'mart': 'customer_identities', 'mart_where': "source_object = 'Contact'",
        },
        {
            'system': 'salesforce', 'stream': 'opportunity', 'left_behind': binned,
            'raw_amount': 'amount',
            'staging': 'stg_salesforce__opportunities', 'amount': 'amount',
            'mart': 'fct_opportunities', 'mart_amount': 'amount',
        },
        {
            'system': 'salesforce', 'stream': 'opportunity_history', 'left_behind': tombstone,
            'staging': 'stg_salesforce__opportunity_history',
            'mart': 'fct_opportunity_stage_visits', 'mart_rows': 'sum(history_rows)',
        },
        {
            'system': 'hubspot', 'stream': 'contacts',
            'left_behind': tombstone ~ " or archived is true",
            'staging': 'stg_hubspot__contacts',
            'mart': 'customer_identities',
            'mart_where': "source_system = 'hubspot' and source_object = 'contacts'",
        },
        {
            'system': 'stripe', 'stream': 'customers', 'left_behind': tombstone,
            'staging': 'stg_stripe__customers',
            'mart': 'customer_identities',
            'mart_where': "source_system = 'stripe' and source_object = 'customers'",
        },
        {
            'system': 'stripe', 'stream': 'subscriptions', 'left_behind': tombstone,
            'staging': 'stg_stripe__subscriptions', 'mart': 'fct_subscriptions',
        },
        {
            'system': 'stripe', 'stream': 'invoices', 'left_behind': tombstone,
            'raw_amount': minor_to_major('amount_paid', 'currency'),
            'staging': 'stg_stripe__invoices', 'amount': 'paid_amount',
            'mart': 'fct_invoices', 'mart_amount': 'paid_amount',
        },
        {
            'system': 'stripe', 'stream': 'charges', 'left_behind': tombstone,
            'raw_amount': minor_to_major('amount', 'currency'),
            'staging': 'stg_stripe__charges', 'amount': 'amount',
            'mart': 'fct_payments', 'mart_amount': 'amount',
        },
        {
            'system': 'shopify', 'stream': 'customers', 'left_behind': tombstone,
            'staging': 'stg_shopify__customers',
            'mart': 'customer_identities',
            'mart_where': "source_system = 'shopify' and source_object = 'customers'",
        },
        {
            'system': 'shopify', 'stream': 'orders', 'left_behind': tombstone,
            'raw_amount': 'total_price',
            'staging': 'stg_shopify__orders', 'amount': 'total_amount',
            'mart': 'fct_orders', 'mart_amount': 'total_amount',
        },
    ]) }}
{%- endmacro %}


{#-
    One row per source and stream that has rows at a stop (raw, staging or mart), for every stream
    of the table above: records and amount, and of raw rows those that staging leaves behind.
-#}
{% macro streams_at(stop) -%}
    {%- for row in reconciled_streams() %}
    select
        source,
        '{{ row.stream }}' as stream,
        {%- if stop == 'raw' %}
        count(*) as records,
        sum({{ row.raw_amount or 'null::numeric' }}) as amount,
        count(*) filter (where {{ row.left_behind }}) as left_records,
        sum({{ row.raw_amount or 'null::numeric' }}) filter (where {{ row.left_behind }}) as left_amount
    from ({{ source_union(row.system, row.stream) }}) as raw_rows
        {%- elif stop == 'staging' %}
        count(*) as records,
        sum({{ row.amount or 'null::numeric' }}) as amount
    from {{ ref(row.staging) }}
        {%- else %}
        {{ row.mart_rows or 'count(*)' }} as records,
        sum({{ row.mart_amount or 'null::numeric' }}) as amount
    from {{ ref(row.mart) }}
    where {{ row.mart_where or 'true' }}
        {%- endif %}
    group by source
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{#-
    One row per source and stream that was ever synced: how many rows its raw table holds. Streams of
    files are named by the user, so the tables are looked up, not listed.
-#}
{% macro landed_rows() -%}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- set synced = run_query(
            "select distinct source, stream from " ~ source('ops', 'sync_runs')
            ~ " order by source, stream"
        ) -%}
        {%- for row in synced.rows -%}
            {%- set relation = landed_relation('raw_' ~ row['source'], row['stream']) -%}
            {%- if relation -%}
                {%- do found.append((row['source'], row['stream'], relation)) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {%- for source_name, stream, relation in found %}
    select
        '{{ source_name }}' as source,
        '{{ stream }}' as stream,
        count(*) as records
    from {{ relation }}
    {{ 'union all' if not loop.last }}
    {%- else -%}
        {{ typed_empty_select([
            {'name': 'source', 'data_type': 'text'},
            {'name': 'stream', 'data_type': 'text'},
            {'name': 'records', 'data_type': 'bigint'},
        ]) }}
    {%- endfor -%}
{%- endmacro %}


{#- One row (source, stream) per configured source and stream that the reconciliation knows. -#}
{% macro configured_streams() -%}
    {%- set rows = [] -%}
    {%- for row in reconciled_streams() -%}
        {%- for name in (var('sources', {}) or {}).get(row.system) or [] -%}
            {%- do rows.append("('" ~ name ~ "', '" ~ row.stream ~ "')") -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if rows -%}
        select
            source,
            stream
        from (values {{ rows | join(', ') }}) as configured (source, stream)
    {%- else -%}
        select
            null::text as source,
            null::text as stream
        where false
    {%- endif -%}
{%- endmacro %}
