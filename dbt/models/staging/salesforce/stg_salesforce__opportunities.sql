with

source as (

    {{ source_union('salesforce', 'opportunity') }}

),

final as (

    select
        source,
        source_system,
        id as source_opportunity_id,
        account_id as source_account_id,
        owner_id as source_owner_id,
        name,
        stage_name as stage,
        forecast_category_name as forecast_category,
        probability / 100 as probability_rate,
        amount,
        -- An org with a single currency has no such field.
        coalesce(upper(currency_iso_code), {{ currency_of_source('source') }}) as currency,
        close_date,
        coalesce(is_closed, false) as is_closed,
        coalesce(is_won, false) as is_won,
        created_date as created_at
    from source
    where
        _deleted_at is null
        and is_deleted is not true

)

select * from final
