-- Grain: one row per living person record of the CRM systems.
with

salesforce_contacts as (

    select * from {{ ref('stg_salesforce__contacts') }}

),

salesforce_accounts as (

    select * from {{ ref('stg_salesforce__accounts') }}

),

hubspot_contacts as (

    select * from {{ ref('stg_hubspot__contacts') }}

),

final as (

    select
        contacts.source,
        contacts.source_system,
        'Contact' as source_object,
        contacts.source_contact_id as source_id,
        contacts.email,
        contacts.phone,
        nullif(concat_ws(' ', contacts.first_name, contacts.last_name), '') as full_name,
        contacts.first_name,
        contacts.last_name,
        contacts.country,
        accounts.name as company,
        contacts.source_account_id as account_source_id,
        contacts.created_at,
        contacts.updated_at
    from salesforce_contacts as contacts
    left join salesforce_accounts as accounts
        on
            contacts.source = accounts.source
            and contacts.source_account_id = accounts.source_account_id
    union all
    select
        source,
        source_system,
        'contacts' as source_object,
        source_contact_id as source_id,
        email,
        phone,
        nullif(concat_ws(' ', first_name, last_name), '') as full_name,
        first_name,
        last_name,
        country,
        company,
        null as account_source_id,
        created_at,
        updated_at
    from hubspot_contacts

)

select * from final
