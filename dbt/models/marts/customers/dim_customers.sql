-- Grain: one row per resolved person. record_count adds up; everything else describes.
with

golden as (

    select * from {{ ref('int_customers_golden') }}

),

final as (

    select
        customer_id,
        full_name,
        first_name,
        last_name,
        email,
        phone,
        country_code,
        account_id,
        first_seen_at,
        last_seen_at,
        coalesce(source_systems, array[]::text[]) as source_systems,
        record_count
    from golden

)

select * from final
