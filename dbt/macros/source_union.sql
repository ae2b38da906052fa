{#-
    All rows of one raw table over every configured source of a kind, with the columns and types
    that models/staging/<kind>/_<kind>__sources.yml declares, plus:
      source         name of the configured source (part of every key and join)
      source_system  the kind itself
    The declared source stands for the lineage; its schema is replaced by raw_<configured name>.
    No source of the kind, or a stream that never ran: the same columns, no rows.
-#}
{% macro source_union(kind, table) -%}
    {%- set declared = source(kind, table) -%}
    {%- set names = (var('sources', {}) or {}).get(kind) or [] -%}
    {%- if not execute -%}
        select 1 as not_rendered_while_parsing
    {%- elif declared.is_cte -%}
        {#- A unit test: its fixture stands for the raw table of every named source. -#}
        {%- for name in names or [kind] -%}
            select
                *,
                '{{ name }}'::text as source,
                '{{ kind }}'::text as source_system
            from {{ declared }}
            {{ 'union all' if not loop.last }}
        {% endfor -%}
    {%- else -%}
        {%- set columns = declared_columns(kind, table) -%}
        {%- set landed = [] -%}
        {%- for name in names -%}
            {%- set relation = landed_relation('raw_' ~ name, table) -%}
            {%- if relation -%}
                {%- do landed.append((name, relation)) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- for name, relation in landed -%}
            select
                {%- for column in columns %}
                "{{ column.name }}"::{{ column.data_type }} as "{{ column.name }}",
                {%- endfor %}
                '{{ name }}'::text as source,
                '{{ kind }}'::text as source_system
            from {{ relation }}
            {{ 'union all' if not loop.last }}
        {% else -%}
            {{ typed_empty_select(columns + [
                {'name': 'source', 'data_type': 'text'},
                {'name': 'source_system', 'data_type': 'text'},
            ]) }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{#- The exchange rates named by the variable fx_rates ("<source>.<table>"); unset = no rows. -#}
{% macro source_fx_rates() -%}
    {%- set declared = source('files', 'fx_rates') -%}
    {%- set stream = var('fx_rates', none) -%}
    {%- if not execute -%}
        select 1 as not_rendered_while_parsing
    {%- elif declared.is_cte -%}
        select * from {{ declared }}
    {%- else -%}
        {%- set columns = declared_columns('files', 'fx_rates') -%}
        {%- set relation = none -%}
        {%- if stream -%}
            {%- set source_name, table = stream.split('.', 1) -%}
            {%- set relation = landed_relation('raw_' ~ source_name, table) -%}
        {%- endif -%}
        {%- if relation -%}
            select
                {%- for column in columns %}
                "{{ column.name }}"::{{ column.data_type }} as "{{ column.name }}"
                {{- ',' if not loop.last }}
                {%- endfor %}
            from {{ relation }}
        {%- else -%}
            {{ typed_empty_select(columns) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{#- Columns of a raw table as the sources file declares them, in its order. -#}
{% macro declared_columns(kind, table) -%}
    {%- for node in graph.sources.values()
        if node.source_name == kind and node.name == table and node.package_name == project_name -%}
        {{ return(node.columns.values() | list) }}
    {%- endfor -%}
    {{ exceptions.raise_compiler_error("No columns are declared for " ~ kind ~ "." ~ table) }}
{%- endmacro %}


{#-
    The relation if it exists: a stream that is switched off, or has never run, has no table.
    PostgreSQL is asked, not dbt's cache (adapter.get_relation): several threads render models, and the
    first of them that asks for a schema adds its tables to the cache one by one. Another one that asks
    meanwhile is told that the rest do not exist, and its model would be empty.
-#}
{% macro landed_relation(schema, identifier) -%}
    {%- set relation = api.Relation.create(
        database=target.database, schema=schema, identifier=identifier
    ) -%}
    {%- set name = "$name$" ~ relation.include(database=false) ~ "$name$" -%}
    {%- set found = run_query("select to_regclass(" ~ name ~ ")::text") -%}
    {{ return(relation if found.rows[0][0] else none) }}
{%- endmacro %}


{% macro typed_empty_select(columns) -%}
    select
        {%- for column in columns %}
        null::{{ column.data_type }} as "{{ column.name }}"
        {{- ',' if not loop.last }}
        {%- endfor %}
    where false
{%- endmacro %}
