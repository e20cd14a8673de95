"""What CloudFormation and SAM would make of a template under given parameters, without an account.

`resolve` answers conditions and parameters, so that linters and asserts see one concrete stack rather than every stack at once.
"""

import copy
import logging
import os
import re

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

# The translator asks for one, and what it makes is the same in each.
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")

GONE = {"Ref": "AWS::NoValue"}
# The translator complains of its own unsent usage figures.
logging.getLogger("samtranslator.metrics").setLevel(logging.ERROR)


class Stack:
    """A template under given parameters."""

    def __init__(self, template, given):
        self.template = template
        self.values = {name: given.get(name, spec.get("Default", "")) for name, spec in template["Parameters"].items()}
        for name, spec in template["Parameters"].items():
            if spec["Type"] == "CommaDelimitedList":
                self.values[name] = str(self.values[name]).split(",")

    def holds(self, name):
        return bool(self.evaluate(self.template["Conditions"][name]))

    def evaluate(self, node):
        """A condition or a rule's assertion as a truth, or what is compared in one as its value."""
        if not isinstance(node, dict):
            return node
        (word, body), = node.items()
        if word == "Ref":
            return self.values[body]
        if word == "Condition":
            return self.holds(body)
        if word == "Fn::Equals":
            left, right = (self.evaluate(side) for side in body)
            return str(left) == str(right)
        if word == "Fn::Contains":
            return self.evaluate(body[1]) in self.evaluate(body[0])
        if word == "Fn::Join":
            return body[0].join(self.evaluate(body[1]))
        truths = [self.evaluate(part) for part in body]
        return {"Fn::Not": not truths[0], "Fn::And": all(truths), "Fn::Or": any(truths)}[word]

    def broken_rules(self):
        for rule in self.template.get("Rules", {}).values():
            if self.evaluate(rule["RuleCondition"]):
                yield from (a["AssertDescription"] for a in rule["Assertions"] if not self.evaluate(a["Assert"]))

    def resolve(self, node):
        if isinstance(node, list):
            return [part for part in map(self.resolve, node) if part != GONE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (word, body), = node.items()
            if word in ("Ref", "Fn::If", "Fn::Sub", "Fn::Join", "Fn::Split", "Fn::Select", "Fn::FindInMap"):
                return self.function(word, body)
        return {name: part for name, part in ((name, self.resolve(part)) for name, part in node.items()) if part != GONE}

    def function(self, word, body):
        if word == "Ref":
            return self.values.get(body, {"Ref": body})
        if word == "Fn::If":
            return self.resolve(body[1] if self.holds(body[0]) else body[2])
        if word == "Fn::Sub":
            return self.substitute(body)
        if word == "Fn::FindInMap":
            name, key, attribute = (self.resolve(part) for part in body)
            return self.template["Mappings"][name][key][attribute]
        first, second = (self.resolve(part) for part in body)
        if word == "Fn::Split" and isinstance(second, str):
            return second.split(first)
        if word == "Fn::Join" and all(isinstance(part, str) for part in second):
            return first.join(second)
        if word == "Fn::Select" and isinstance(second, list):
            return second[int(first)]
        return {word: [first, second]}

    def substitute(self, body):
        text, named = body if isinstance(body, list) else (body, {})
        known = {**self.values, **{name: self.resolve(part) for name, part in named.items()}}
        text = re.sub(r"\$\{(\w+)\}", lambda hit: str(known[hit[1]]) if hit[1] in known else hit[0], text)
        return {"Fn::Sub": text} if "${" in text else text

    def concrete(self):
        """The template with every condition answered and every parameter filled in."""
        kept = {name: r for name, r in self.template["Resources"].items() if "Condition" not in r or self.holds(r["Condition"])}
        outputs = {name: o for name, o in self.template["Outputs"].items() if "Condition" not in o or self.holds(o["Condition"])}
        whole = {
            **{part: self.template[part] for part in ("AWSTemplateFormatVersion", "Transform", "Description")},
            "Globals": self.template["Globals"], "Resources": kept, "Outputs": outputs,
        }
        whole = self.resolve(whole)
        for section in ("Resources", "Outputs"):
            for part in whole[section].values():
                part.pop("Condition", None)
        return whole

    def with_defaults(self):
        """The template as it is, but with these parameters as its defaults."""
        changed = copy.deepcopy(self.template)
        for name, spec in changed["Parameters"].items():
            value = self.values[name]
            spec["Default"] = ",".join(value) if isinstance(value, list) else value
        return changed


def translate(template, code="s3://packaged/function.zip"):
    """What the SAM transform deploys. `code` is the address of the functions' zip."""
    packaged = copy.deepcopy(template)
    packaged["Globals"]["Function"]["CodeUri"] = code
    defaults = {name: spec["Default"] for name, spec in packaged.get("Parameters", {}).items()}
    return Translator({}, Parser()).translate(packaged, defaults)
