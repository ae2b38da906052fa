-- Grain: one row per resolved person. record_count adds up; everything else describes.
-- Every attribute is taken from the most trusted record that has it (variable source_trust), the
-- most recently changed one among equals, and the lowest source, object and id among those, so that
-- a rerun chooses the same. Names come together from one record. A person whose records are all
-- deleted stays, without attributes, while money that was paid hangs on one of them.
with

links as (

    select * from {{ ref('int_customer_links') }}

),

records as (

    select * from {{ ref('int_person_records') }}

),

account_links as (

    select * from {{ source('identity', 'account_links') }}

),

countries as (

    select * from {{ ref('country_names') }}

),

ranked as (

    select
        links.customer_id,
        records.*,
        {{ usable_email('records.email') }} as usable_email,
        countries.country_code,
        account_links.account_id,
        row_number() over (
            partition by links.customer_id
            order by
                {{ most_trusted_first('records') }}
        ) as precedence
    from links
    left join records
        on
            links.source = records.source
            and links.source_object = records.source_object
            and links.source_id = records.source_id
    left join account_links
        on
            records.source = account_links.source
            and records.account_source_id = account_links.source_id
            and account_links.source_object = 'Account'
    left join countries
        on lower(records.country) = countries.name

),

final as (

    select
        customer_id,
        {{ first_known('full_name') }} as full_name,
        {{ first_known('first_name', has_value='full_name is not null') }} as first_name,
        {{ first_known('last_name', has_value='full_name is not null') }} as last_name,
        {{ first_known('usable_email') }} as email,
        {{ first_known('phone') }} as phone,
        {{ first_known('country_code') }} as country_code,
        {{ first_known('account_id') }} as account_id,
        min(created_at) as first_seen_at,
        max(greatest(created_at, updated_at)) as last_seen_at,
        coalesce(
            array_agg(distinct source_system) filter (where source_system is not null),
            array[]::text[]
        ) as source_systems,
        count(source_id) as record_count
    from ranked
    group by customer_id

)

select * from final
