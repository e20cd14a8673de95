"""Plays a day of fifty runs for each fault, through the built function in virtual time, and asks the template's alarms."""

import contextlib
import pathlib
import sys
import time

from samcli.yamlhelper import yaml_parse

from checks import topic
from cloudformation import Stack, translate
from day import CHECK_AT, Day
from faults import BEGIN, BY_CHECK, FAULTS, limits, ordinary

ROOT = pathlib.Path(__file__).resolve().parents[2]
FULL = {
    "Alarms": "full",
    "KafkaBootstrapServers": "b-1.kafka.example.com:9196",
    "KafkaConsumerGroup": "org_id.glint-gitlab-trigger",
}
MIN_FAULTS = 20


def play(name, cloudformation, plan):
    """The alarms that ring in a day, each with its minutes."""
    with contextlib.ExitStack() as stack:
        day = Day(stack, name, cloudformation)
        plan(day)
        return day.play()


def with_fault(fault):
    def plan(day):
        day.work()
        day.at(BEGIN, fault.begin, day)

    return plan


def check_fault(check, number, fault, cloudformation):
    rung = play(f"fault-{number:02}", cloudformation, with_fault(fault))
    first, last = limits(fault)
    minutes = [minute for minute in rung.get(fault.alarm, []) if first <= minute <= last]
    early = {alarm: at for alarm, at in rung.items() if min(at) < BEGIN}
    when = "by the next check" if fault.within == BY_CHECK else f"{fault.within} minutes after it is met"
    heard = f"after {min(minutes) - BEGIN} minutes" if minutes else "not heard"
    check.that(f"{fault.what}: `{fault.alarm}` rings {when} ({heard})", minutes, rung)
    check.equal(f"{fault.what}: nothing rings before it begins", early, {})


def main():
    only = sys.argv[1:]
    with topic("the topic `alarms` runs to its end") as (check, _):
        template = yaml_parse((ROOT / "template.yaml").read_text())
        cloudformation = translate(Stack(template, FULL).concrete())
        check.that(f"at least {MIN_FAULTS} faults are played: {len(FAULTS)}", len(FAULTS) >= MIN_FAULTS)
        began = time.monotonic()
        if not only:
            check.equal("an ordinary day rings no alarm", play("ordinary", cloudformation, ordinary), {})
        for number, fault in enumerate(FAULTS, 1):
            if not only or str(number) in only:
                check_fault(check, number, fault, cloudformation)
        print(f"note: a fault begins at minute {BEGIN}, the check comes at {CHECK_AT}; {time.monotonic() - began:.0f} s in all")


main()
