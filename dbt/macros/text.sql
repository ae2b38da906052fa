{#- Text without surrounding blanks; blanks alone are no value. Some systems send '' for NULL. -#}
{% macro blank_to_null(expression) -%}
    nullif(btrim({{ expression }}), '')
{%- endmacro %}


{#-
    An e-mail address as a person would be reached at: lower case, well formed, and not one of the
    addresses that are typed in to get past a form. Anything else is NULL.
-#}
{% macro usable_email(expression) -%}
    case
        when
            lower(btrim({{ expression }})) ~ '^[^@[:space:]]+@[^@[:space:].]+([.][^@[:space:].]+)+$'
            and lower(btrim({{ expression }}))
            !~ '^({{ placeholder_mailboxes() | join("|") }})([+][^@]*)?@'
            then lower(btrim({{ expression }}))
    end
{%- endmacro %}


{#- Mailboxes that stand for nobody. Regular expressions, whole mailbox. -#}
{% macro placeholder_mailboxes() -%}
    {{ return([
        'no[-_.]?e?mail', 'none', 'no[-_.]?reply', 'do[-_.]?not[-_.]?reply', 'test', 'info',
        'unknown', 'null', 'na', 'nobody', 'placeholder',
    ]) }}
{%- endmacro %}


{#- The host of a web address without protocol, `www.`, port and path; NULL without a dot. -#}
{% macro web_domain(expression) -%}
    substring(
        lower(btrim({{ expression }}))
        from '^(?:[a-z]+://)?(?:[^/@]*@)?(?:www[.])?([^/:?#[:space:]]+[.][^/:?#[:space:].]+)'
    )
{%- endmacro %}
