"""For every rule of the rule files, SQL that breaks it in the clean tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quality.kinds import (
    Between,
    Compare,
    ForeignKey,
    InSet,
    Matches,
    NotNull,
    Unique,
)

if TYPE_CHECKING:
    from quality.kinds import Rule
    from quality.targets import Target

_TAKEN_OUT = "delete from {table} where ctid = (select min(ctid) from {table})"

# Rules whose defect cannot be read off the rule itself. {table} and {schema} as in the rule files.
WRITTEN = {
    ("account", "not_empty"): "truncate {table}",
    ("contact", "reachable"): "update {table} set email = null, phone = null",
    ("opportunity", "won_is_closed"): "update {table} set is_won = true",
    ("opportunity", "created_before_changed"): "update {table} set created_date = '2025-05-01Z'",
    ("contacts", "created_before_changed"): "update {table} set created_at = '2025-05-01Z'",
    ("contacts", "reachable"): "update {table} set property_email = null",
    ("subscriptions", "items_are_a_list"): """update {table} set items = '{"data": 1}'""",
    ("subscriptions", "prices_not_negative"): """update {table} set items =
        '{"data": [{"price": {"unit_amount": 5}}, {"price": {"unit_amount": -5}}]}'""",
    ("subscriptions", "quantities_not_negative"): """update {table} set items =
        '{"data": [{"quantity": -1}]}'""",
    ("invoices", "paid_has_time"): """update {table} set status_transitions =
        '{"paid_at": null}'""",
    ("orders", "created_before_changed"): "update {table} set created_at = '2025-05-01Z'",
    ("orders", "line_items_are_a_list"): "update {table} set line_items = '{}'",
    ("orders", "refunds_are_a_list"): "update {table} set refunds = '{}'",
    ("orders", "refunds_have_amounts"): """update {table} set refunds =
        '[{"id": 1, "amount": "5.00"}, {"id": 2, "amount": null}]'""",
    ("fx_rates_monthly", "rate_positive"): "update {table} set usd_per_unit = 0",
    ("dim_customers", "record_count_agrees"): "update {table} set record_count = 3",
    ("dim_customers", "somebody_pays"): "truncate {schema}.fct_payments",
    ("dim_customers", "source_systems_listed"): "update {table} set source_systems = '{}'",
    ("customer_identities", "nobody_left_out"): _TAKEN_OUT,
    ("account_identities", "nobody_left_out"): _TAKEN_OUT,
    ("dim_fx_rates", "month_is_first_day"): "update {table} set month = month + 1",
    ("dim_fx_rates", "rate_positive"): "update {table} set usd_per_unit = 0",
    ("dim_fx_rates", "rate_steady"): "update {table} set usd_per_unit = 112"
    " where month = '2025-03-01'",
    ("dim_dates", "no_gaps"): "delete from {table} where day = '2025-03-15'",
    ("dim_dates", "covers_the_run"): "delete from {table} where day > '2025-03-30'",
    ("fct_opportunities", "account_share"): "update {table} set account_id = null",
    ("fct_opportunities", "won_is_closed"): "update {table} set is_won = true",
    ("fct_opportunities", "rate_found"): "update {table} set amount_usd = null",
    ("fct_opportunity_stage_visits", "visits_follow"): "update {table} set"
    " entered_at = '2025-03-06Z' where visit_number = 2",
    ("fct_opportunity_stage_visits", "one_visit_open"): "update {table} set exited_at = null",
    ("pipeline_by_stage", "won_is_closed"): "update {table} set is_won = true",
    ("pipeline_by_stage", "flags_agree"): "update {schema}.fct_opportunities"
    " set stage = 'Proposal'",
    ("pipeline_by_stage", "counts_agree"): _TAKEN_OUT,
    ("pipeline_by_stage", "amounts_agree"): "update {table} set amount_usd = amount_usd + 0.01",
    ("fct_orders", "customer_share"): "update {table} set customer_id = null",
    ("fct_orders", "customer_mostly_there"): "update {table} set customer_id = null",
    ("fct_orders", "net_adds_up"): "update {table} set net_amount = net_amount + 0.01",
    ("fct_orders", "net_not_negative"): "update {table} set net_amount = -1",
    ("fct_orders", "counted_rule"): "update {table} set is_counted = true",
    ("fct_orders", "rate_found"): "update {table} set net_amount_usd = null",
    ("fct_orders", "refunds_agree"): "truncate {schema}.fct_refunds",
    ("fct_order_lines", "quantity_positive"): "update {table} set quantity = 0",
    ("fct_order_lines", "net_adds_up"): "update {table} set net_amount = net_amount + 0.01",
    ("fct_refunds", "rate_found"): "update {table} set amount_usd = null",
    ("fct_invoices", "customer_share"): "update {table} set customer_id = null",
    ("fct_invoices", "paid_has_time"): "update {table} set paid_at = null",
    ("fct_invoices", "rate_found"): "update {table} set paid_amount_usd = null",
    ("fct_payments", "rate_found"): "update {table} set amount_usd = null",
    ("fct_subscriptions", "rate_found"): "update {table} set mrr_amount_usd = null",
    ("fct_mrr_monthly", "month_is_first_day"): "update {table} set month = month + 1",
    ("fct_mrr_monthly", "movement_adds_up"): "update {table} set movement_usd = movement_usd + 1",
    ("fct_mrr_monthly", "movement_has_its_sign"): "update {table} set movement = 'churn'",
    ("fct_mrr_monthly", "rate_found"): "update {table} set missing_fx_rates = 1",
    ("fct_mrr_monthly", "rate_of_the_month"): "update {table} set carried_fx_rates = 1",
    ("fct_mrr_monthly", "new_once"): "update {table} set movement = 'new'",
    ("mrr_movements_monthly", "month_is_first_day"): "update {table} set month = month + 1",
    ("mrr_movements_monthly", "identity"): "update {table} set churn_usd = 0.01",
    ("mrr_movements_monthly", "movements_not_negative"): "update {table} set churn_usd = -1",
    ("mrr_movements_monthly", "customers_add_up"): "update {table} set customers_churned = 1",
    ("mrr_movements_monthly", "months_follow"): "update {table} set mrr_start_usd = 21",
    ("mrr_movements_monthly", "no_month_missing"): "update {table} set month = '2025-05-01'"
    " where month = '2025-03-01'",
    ("mrr_movements_monthly", "end_agrees"): "update {table} set mrr_end_usd = 31",
    ("revenue_monthly", "month_is_first_day"): "update {table} set month = month + 1",
    ("revenue_monthly", "total_adds_up"): "update {table} set total_usd = total_usd + 100",
    ("revenue_monthly", "shop_agrees"): "update {schema}.fct_orders set is_counted = true",
    ("revenue_monthly", "cash_agrees"): "update {schema}.fct_invoices set is_test = true",
    ("customer_360", "nobody_missing"): _TAKEN_OUT,
    ("customer_360", "orders_have_times"): "update {table} set orders = 1",
    ("reconciliation", "counts_present"): "update {table} set target_count = null",
    ("reconciliation", "no_row_lost"): "update {table} set difference_count = 1",
    ("reconciliation", "no_money_lost"): "update {table} set difference_amount = -0.01",
    ("reconciliation", "count_difference_is_the_rest"): "update {table} set target_count = 1",
}


def defect(target: Target, rule: Rule) -> str:
    """Return SQL that makes a clean table break a rule."""
    written = WRITTEN.get((target.suite.table, rule.id))
    return target.fill(written or _read_off(rule))


def _read_off(rule: Rule) -> str:
    match rule:
        case NotNull():
            return f'update {{table}} set "{rule.column}" = null'
        case Between(min=None):
            return f"""update {{table}} set "{rule.column}" = '{rule.max}'::numeric + 1"""
        case Between():
            below = "- 1" if not hasattr(rule.min, "isoformat") else "- interval '1 day'"
            kind = "numeric" if below == "- 1" else "timestamptz"
            return f"""update {{table}} set "{rule.column}" = '{rule.min}'::{kind} {below}"""
        case InSet():
            return f"""update {{table}} set "{rule.column}" = 'unheard_of'"""
        case Matches():
            return f"""update {{table}} set "{rule.column}" = 'Euro!'"""
        case Compare():
            return _crossed(rule)
        case ForeignKey():
            return f"""update {{table}} set "{rule.column}" = 'nobody'"""
        case Unique():
            return "insert into {table} select * from {table} limit 1"
        case _:
            raise LookupError(f"no defect is written for {rule.id}")


def _crossed(rule: Compare) -> str:
    """Move a column to the wrong side of the other, by a second of 1970 or by a day."""
    seconds = rule.other == "start_date" or not rule.column.endswith("_at")
    sign = "-" if rule.operator.startswith(">") else "+"
    step = "1" if seconds else "interval '1 day'"
    return f'update {{table}} set "{rule.column}" = "{rule.other}" {sign} {step}'
