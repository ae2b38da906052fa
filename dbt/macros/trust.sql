{#-
    How far a kind of system is trusted, 1 first, from the variable source_trust. A kind that the
    variable leaves out comes after all that it names.
-#}
{% macro trust_rank(source_system) -%}
    {%- set kinds = var('source_trust', []) or [] -%}
    {%- if kinds -%}
        case {{ source_system }}
            {%- for kind in kinds %}
            when '{{ kind }}' then {{ loop.index }}
            {%- endfor %}
            else {{ kinds | length + 1 }}
        end
    {%- else -%}
        1
    {%- endif -%}
{%- endmacro %}


{#- The order in which records give their values; its last parts settle ties, alike each run. -#}
{% macro most_trusted_first(records) -%}
    {{ trust_rank(records ~ '.source_system') }},
                {{ records }}.updated_at desc nulls last,
                {{ records }}.source,
                {{ records }}.source_object,
                {{ records }}.source_id
{%- endmacro %}


{#- The value of the record that comes first, among those that have one. -#}
{% macro first_known(value, has_value=none, order_by='precedence') -%}
    (array_agg({{ value }} order by {{ order_by }}) filter (
        where {{ has_value or value ~ ' is not null' }}
    ))[1]
{%- endmacro %}
