"""What the tables of throttling refuse."""

from tests.factories import ProgramFactory, RuleDomainFactory, RuleFactory, RuleSetFactory, TemplateFactory
from tests.refusals import Refusals, beyond_a_limit
from throttling.models import Rule, RuleSet, ThrottleProgram, ThrottlingTemplate, WarmUpPlan

refusals = Refusals("throttling")


@refusals.by("throttling_warm_up_plan_name_unique")
def _():
    WarmUpPlan.objects.create(name="standard", days=[50])


@refusals.by("throttling_warm_up_plan_name_not_empty")
def _():
    WarmUpPlan.objects.create(name="", days=[50])


@refusals.by("throttling_warm_up_plan_rates")
def _():
    WarmUpPlan.objects.create(name="x", days=[50], most_complained=0)


@refusals.by("throttling_warm_up_plan_rails")
def _():
    WarmUpPlan.objects.create(name="x", days=[50], floor=23)


@refusals.by("throttling_ruleset_kind")
def _():
    RuleSetFactory(kind="nobody", max_concurrent_connections=0, max_messages_per_hour=0)


@refusals.by("throttling_ruleset_template_default")
def _():
    RuleSetFactory(kind="template", max_concurrent_connections=0, max_messages_per_hour=None)


@refusals.by("throttling_ruleset_limits")
def _():
    RuleSetFactory()
    RuleSet.objects.update(max_messages_per_hour=beyond_a_limit())


@refusals.by("throttling_rule_slot_unique")
def _():
    rule = RuleFactory(slot=7)
    RuleFactory(rule_set=rule.rule_set, slot=7)


@refusals.by("throttling_rule_slot_range")
def _():
    # The 251st rule.
    RuleFactory(slot=251)


@refusals.by("throttling_rule_limits")
def _():
    RuleFactory()
    Rule.objects.update(max_concurrent_connections=beyond_a_limit())


@refusals.by("throttling_ruledomain_pattern_unique")
def _():
    first = RuleDomainFactory(pattern="example.com")
    other = RuleFactory(rule_set=first.rule_set, slot=2)
    RuleDomainFactory(rule=other, pattern="example.com")


@refusals.by("throttling_ruledomain_position_unique")
def _():
    first = RuleDomainFactory(position=3)
    RuleDomainFactory(rule=first.rule, position=3)


@refusals.by("throttling_ruledomain_pattern_not_empty")
def _():
    RuleDomainFactory(pattern="")


@refusals.by("throttling_template_name_unique")
def _():
    TemplateFactory(name="Straße")
    TemplateFactory(name="STRASSE")


@refusals.by("throttling_template_name_not_empty")
def _():
    TemplateFactory(name="")


@refusals.by("throttling_template_one_default")
def _():
    # The migration made one.
    TemplateFactory(is_default=True)


@refusals.by("throttling.ThrottlingTemplate.rules")
def _():
    TemplateFactory(rules=ThrottlingTemplate.objects.get(is_default=True).rules)


@refusals.by("throttling_program_name_unique")
def _():
    ProgramFactory(name="ÉCLAIR")
    ProgramFactory(name="éclair")


@refusals.by("throttling_program_name_not_empty")
def _():
    ProgramFactory(name="")


@refusals.by("throttling_program_modes")
def _():
    ProgramFactory(backoff_messages_mode="relative")


@refusals.by("throttling_program_values")
def _():
    ProgramFactory(backoff_connections_value=0)


@refusals.by("throttling_program_percent")
def _():
    ProgramFactory(backoff_messages_mode="percent", backoff_messages_value=101)


@refusals.by("throttling_program_rates")
def _():
    ProgramFactory(deferral_rate=101)


@refusals.by("throttling_program_trigger")
def _():
    ProgramFactory()
    ThrottleProgram.objects.update(failure_rate=None, deferral_rate=None)


test_the_database_refuses = refusals.as_test()
