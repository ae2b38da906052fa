-- Grain: one row per resolved organisation with a living record. record_count adds up; everything
-- else describes. Survivorship as in dim_customers: trust, recency, the lowest source and id.
with

links as (

    select * from {{ source('identity', 'account_links') }}

),

records as (

    select * from {{ ref('int_account_records') }}

),

countries as (

    select * from {{ ref('country_names') }}

),

ranked as (

    select
        links.account_id,
        records.*,
        {{ web_domain('records.website') }} as domain,
        countries.country_code,
        row_number() over (
            partition by links.account_id
            order by
                {{ most_trusted_first('records') }}
        ) as precedence
    from links
    inner join records
        on
            links.source = records.source
            and links.source_object = records.source_object
            and links.source_id = records.source_id
    left join countries
        on lower(records.country) = countries.name

),

final as (

    select
        account_id,
        {{ first_known('name') }} as name,
        {{ first_known('domain') }} as domain,
        {{ first_known('industry') }} as industry,
        {{ first_known('country_code') }} as country_code,
        {{ first_known('employees') }} as employees,
        min(created_at) as first_seen_at,
        count(*) as record_count
    from ranked
    group by account_id

)

select * from final
