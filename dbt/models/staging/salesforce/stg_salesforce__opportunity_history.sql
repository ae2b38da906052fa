with

source as (

    {{ source_union('salesforce', 'opportunity_history') }}

),

final as (

    select
        source,
        source_system,
        id as source_opportunity_history_id,
        opportunity_id as source_opportunity_id,
        stage_name as stage,
        probability / 100 as probability_rate,
        amount,
        created_date as changed_at
    from source
    where _deleted_at is null

)

select * from final
