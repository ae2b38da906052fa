with

source as (

    {{ source_fx_rates() }}

),

final as (

    select
        to_date(month, 'YYYY-MM') as month,
        upper(currency) as currency,
        usd_per_unit
    from source
    where _deleted_at is null

)

select * from final
