"""Plays a day of fifty runs for each fault, through the built function in virtual time, and asks the template's alarms.

`python tests/real/topic_alarms.py 3 7` plays only the third and the seventh fault.
"""

import concurrent.futures
import contextlib
import multiprocessing
import pathlib
import sys
import time
import typing

from samcli.yamlhelper import yaml_parse

from alarms import Series, of_stack
from checks import topic
from cloudformation import Stack, translate
from day import CHECK_AT, LENGTH, Day
from faults import BEGIN, BY_CHECK, FAULTS, ordinary
from virtual_time import forget_ended_processes

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


class Played(typing.NamedTuple):
    """What there is to say of a day: the alarms that rang, each with its minutes, and how it ended."""

    rung: dict
    ringing: list
    started: int
    loops: list


def play(name, cloudformation, plan, length=LENGTH, fixed=LENGTH):
    """`fixed`: the minute since which all should be well again."""
    with contextlib.ExitStack() as stack:
        day = Day(stack, name, cloudformation)
        plan(day)
        rung = day.play(length)
        return Played(rung, day.ringing(length - 1), day.started(fixed), day.loops())


def day_with(fault):
    """The number of a fault in the table, or None for an ordinary day; returns what `play` does."""
    cloudformation = expanded()
    if fault is None:
        return play("ordinary", cloudformation, ordinary)

    broken = FAULTS[fault]

    def plan(day):
        day.work()
        day.at(BEGIN, broken.begin, day)
        if broken.fix:
            day.at(broken.fix_minute(), broken.fix, day)

    return play(f"fault-{fault + 1:02}", cloudformation, plan, broken.length(), broken.fix_minute())


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


def check_fault(check, fault, played):
    minutes = [minute for minute in played.rung.get(fault.alarm, []) if BEGIN <= minute <= fault.limit()]
    early = {alarm: at for alarm, at in played.rung.items() if min(at) < BEGIN}
    when = "by the next check" if fault.within == BY_CHECK else f"within {fault.within} minutes of what meets it"
    heard = f"after {min(minutes) - BEGIN} minutes" if minutes else "not heard"
    check.that(f"{fault.what}: `{fault.alarm}` rings {when} ({heard})", minutes, played.rung)
    check.equal(f"{fault.what}: nothing rings before it begins", early, {})
    if fault.fix:
        sentence = f"{fault.what}: once that is over, runs start again ({played.started}) and `{fault.alarm}` is quiet"
        check.that(sentence, played.started and fault.alarm not in played.ringing, played)


def main():
    only = [int(number) - 1 for number in sys.argv[1:]]
    with topic("the topic `alarms` runs to its end") as (check, _):
        check.that(f"at least {MIN_FAULTS} faults are played: {len(FAULTS)}", len(FAULTS) >= MIN_FAULTS)
        check_definitions(check, expanded())
        forget_ended_processes()
        began = time.monotonic()
        days = only or [None, *range(len(FAULTS))]
        with concurrent.futures.ProcessPoolExecutor(AT_ONCE, multiprocessing.get_context("fork")) as pool:
            looped = []
            for fault, played in zip(days, pool.map(day_with, days)):
                looped += played.loops
                if fault is None:
                    check.equal("an ordinary day rings no alarm", played.rung, {})
                else:
                    check_fault(check, FAULTS[fault], played)
        forget_ended_processes()
        check.equal("nothing that came from the queue sends to the queue but a report once", looped, [])
        print(f"note: a fault begins at minute {BEGIN}, the check comes at {CHECK_AT}; {time.monotonic() - began:.0f} s in all")


main()
