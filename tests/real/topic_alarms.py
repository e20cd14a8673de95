"""Plays a day of fifty runs for each fault, through the built function in virtual time, and asks the template's alarms.

`python tests/real/topic_alarms.py 3 7` plays only the third and the seventh fault.
"""

import concurrent.futures
import contextlib
import multiprocessing
import pathlib
import sys
import time

from samcli.yamlhelper import yaml_parse

from alarms import Series, of_stack
from checks import topic
from cloudformation import Stack, translate
from day import CHECK_AT, LENGTH, Day
from faults import BEGIN, BY_CHECK, FAULTS, limits, ordinary

ROOT = pathlib.Path(__file__).resolve().parents[2]
FULL = {
    "Alarms": "full",
    "KafkaBootstrapServers": "b-1.kafka.example.com:9196",
    "KafkaConsumerGroup": "org_id.glint-gitlab-trigger",
}
MIN_FAULTS = 20
# Days are played side by side: most of a day is waiting for answers.
AT_ONCE = 4


def expanded():
    """The template with every alarm, without SAM."""
    return translate(Stack(yaml_parse((ROOT / "template.yaml").read_text()), FULL).concrete())


def play(name, cloudformation, plan, length=LENGTH):
    """The alarms that ring in a day, each with its minutes; and what could be taken for a loop."""
    with contextlib.ExitStack() as stack:
        day = Day(stack, name, cloudformation)
        plan(day)
        return day.play(length), day.loops()


def day_with(fault):
    """The number of a fault in the table, or None for an ordinary day; returns what `play` does."""
    cloudformation = expanded()
    if fault is None:
        return play("ordinary", cloudformation, ordinary)

    def plan(day):
        day.work()
        day.at(BEGIN, FAULTS[fault].begin, day)

    # What comes after the alarm would only take time.
    _, last = limits(FAULTS[fault])
    return play(f"fault-{fault + 1:02}", cloudformation, plan, last)


def check_definitions(check, cloudformation):
    """One value of any metric of an alarm is enough to ring it, while its others are zero or missing."""
    deaf = []
    for alarm in of_stack(cloudformation, str):
        for heard in alarm.metrics():
            series = Series()
            for minute in range(200):
                for key in alarm.metrics():
                    series.add(*key, minute, int(key == heard and minute >= 100))
            if not alarm.rings(series, 50, 199):
                deaf.append((alarm.logical, heard))
    check.equal("every metric of every alarm rings it alone", deaf, [])


def check_fault(check, fault, rung):
    first, _ = limits(fault)
    minutes = [minute for minute in rung.get(fault.alarm, []) if first <= minute]
    early = {alarm: at for alarm, at in rung.items() if min(at) < BEGIN}
    when = "by the next check" if fault.within == BY_CHECK else f"within {fault.within} minutes of what meets it"
    heard = f"after {min(minutes) - BEGIN} minutes" if minutes else "not heard"
    check.that(f"{fault.what}: `{fault.alarm}` rings {when} ({heard})", minutes, rung)
    check.equal(f"{fault.what}: nothing rings before it begins", early, {})


def main():
    only = [int(number) - 1 for number in sys.argv[1:]]
    with topic("the topic `alarms` runs to its end") as (check, _):
        check.that(f"at least {MIN_FAULTS} faults are played: {len(FAULTS)}", len(FAULTS) >= MIN_FAULTS)
        check_definitions(check, expanded())
        began = time.monotonic()
        days = only or [None, *range(len(FAULTS))]
        with concurrent.futures.ProcessPoolExecutor(AT_ONCE, multiprocessing.get_context("fork")) as pool:
            looped = []
            for fault, (rung, loops) in zip(days, pool.map(day_with, days)):
                looped += loops
                if fault is None:
                    check.equal("an ordinary day rings no alarm", rung, {})
                else:
                    check_fault(check, FAULTS[fault], rung)
        check.equal("nothing that came from the queue sends to the queue but a report once", looped, [])
        print(f"note: a fault begins at minute {BEGIN}, the check comes at {CHECK_AT}; {time.monotonic() - began:.0f} s in all")


main()
