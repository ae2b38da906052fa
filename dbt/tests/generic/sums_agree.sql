{#- An aggregate over this model equals one over another, to the last digit. -#}
{% test sums_agree(model, expression, other, other_expression) %}
select
    mine.total as this_model,
    theirs.total as other_model
from (select {{ expression }} as total from {{ model }}) as mine
cross join (select {{ other_expression }} as total from {{ other }}) as theirs
where mine.total is distinct from theirs.total
{% endtest %}
