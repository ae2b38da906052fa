-- Grain: one row per resolved organisation. record_count adds up; everything else describes.
with

golden as (

    select * from {{ ref('int_accounts_golden') }}

),

final as (

    select
        account_id,
        name,
        domain,
        industry,
        country_code,
        employees,
        first_seen_at,
        record_count
    from golden

)

select * from final
