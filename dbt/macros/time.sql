{% macro epoch_to_timestamp(seconds) -%}
    to_timestamp({{ seconds }})
{%- endmacro %}


{#- First day of the UTC month of a timestamptz: months never depend on the session's time zone. -#}
{% macro utc_month(instant) -%}
    date_trunc('month', {{ instant }} at time zone 'utc')::date
{%- endmacro %}


{#- The UTC day of a timestamptz. -#}
{% macro utc_day(instant) -%}
    ({{ instant }} at time zone 'utc')::date
{%- endmacro %}
