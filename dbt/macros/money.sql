{#-
    Currencies whose amounts Stripe sends without, or with three, decimal places
    (docs.stripe.com/currencies). ISK and UGX have no minor unit of their own, yet Stripe
    still sends them with two places: they belong to the default.
-#}
{% macro zero_decimal_currencies() -%}
    {{ return([
        'BIF', 'CLP', 'DJF', 'GNF', 'JPY', 'KMF', 'KRW', 'MGA', 'PYG', 'RWF',
        'VND', 'VUV', 'XAF', 'XOF', 'XPF',
    ]) }}
{%- endmacro %}


{% macro three_decimal_currencies() -%}
    {{ return(['BHD', 'JOD', 'KWD', 'OMR', 'TND']) }}
{%- endmacro %}


{#- The currency of a source's amounts that name none, from the variable source_currencies. -#}
{% macro currency_of_source(source) -%}
    {%- set currencies = var('source_currencies', {}) or {} -%}
    {%- if currencies -%}
        case {{ source }}
            {%- for name in currencies %}
            when '{{ name }}' then '{{ currencies[name] }}'
            {%- endfor %}
        end
    {%- else -%}
        null::text
    {%- endif -%}
{%- endmacro %}


{#- Minor units (cents) as an exact amount in major units: multiplied, a division adds digits. -#}
{% macro minor_to_major(amount, currency) -%}
    ({{ amount }} * case
        when upper({{ currency }}) in ('{{ zero_decimal_currencies() | join("', '") }}') then 1
        when upper({{ currency }}) in ('{{ three_decimal_currencies() | join("', '") }}') then 0.001
        else 0.01
    end)
{%- endmacro %}


{#-
    An amount in the reporting currency, exact: rounded only where it is shown, so that sums agree
    to the cent. NULL when the rate is missing: an amount that cannot be converted is not zero.
    `rate` comes from int_fx_rates, joined on the currency and the UTC month of the event.
-#}
{% macro to_reporting(amount, rate) -%}
    ({{ amount }} * {{ rate }})
{%- endmacro %}
