from throttling.models.program import ThrottleProgram
from throttling.models.rule import Rule, RuleDomain
from throttling.models.rule_set import RuleSet
from throttling.models.template import ThrottlingTemplate
from throttling.models.warm_up_plan import WarmUpPlan

__all__ = ["Rule", "RuleDomain", "RuleSet", "ThrottleProgram", "ThrottlingTemplate", "WarmUpPlan"]
