{#- The expression if it is a JSON array, else an empty one: APIs also send null or omit it. -#}
{% macro json_array(expression) -%}
    case jsonb_typeof({{ expression }}) when 'array' then {{ expression }} else '[]' end
{%- endmacro %}
