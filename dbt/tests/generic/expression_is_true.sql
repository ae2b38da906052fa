{#-
    Every row satisfies the expression. An expression that is NULL has not been satisfied. On a
    column the expression is what follows the column ("<= 1"), and NULL has nothing to satisfy.
-#}
{% test expression_is_true(model, expression, column_name=none) %}
select *
from {{ model }}
where
    ({{ column_name or '' }} {{ expression }}) is not true
    {% if column_name %}and {{ column_name }} is not null{% endif %}
{% endtest %}
