"""Evaluates the template's alarms over metrics, minute by minute, as CloudWatch does.

A window ends at every minute. Left out is what only helps an alarm: CloudWatch looks further back where data is missing.
"""

import re

from stack_rules import properties


class Series:
    """Values of metrics by the minute in which they were published."""

    def __init__(self):
        self._values = {}

    def add(self, namespace, name, of, minute, value):
        """`of`: the value of the metric's one dimension."""
        self._values.setdefault((namespace, name, of), {}).setdefault(minute, []).append(value)

    def window(self, key, first, last, statistic):
        """The statistic over these minutes, or None where nothing was published."""
        minutes = self._values.get(key, {})
        values = [value for minute in range(first, last + 1) for value in minutes.get(minute, ())]
        if not values:
            return None
        return {"Sum": sum, "Minimum": min, "Maximum": max}[statistic](values)


class Alarm:
    """One `AWS::CloudWatch::Alarm` of a stack whose conditions and names are resolved by `names`."""

    def __init__(self, logical, body, names):
        self.logical = logical
        self.body = body
        self._queries = {query["Id"]: query for query in body["Metrics"]}
        self._returned = next(query for query in body["Metrics"] if query.get("ReturnData", True))
        self._names = names
        self.period = max(q["MetricStat"]["Period"] for q in body["Metrics"] if "MetricStat" in q) // 60

    def metrics(self):
        """The keys of what it reads."""
        return [self._key(query) for query in self.body["Metrics"] if "MetricStat" in query]

    def point(self, series, minute):
        """The value of the window that ends with this minute, or None."""
        if "MetricStat" in self._returned:
            return self._metric(series, self._returned, minute)
        values = {i: self._metric(series, q, minute) for i, q in self._queries.items() if "MetricStat" in q}
        expression = self._returned["Expression"]
        if expression == "SUM(METRICS())":
            present = [value for value in values.values() if value is not None]
            return sum(present) if present else None
        named = re.split(r" \+ ", expression)
        if not set(named) <= set(values):
            raise ValueError(f"{self.logical}: an expression that is not known here: {expression}")
        chosen = [values[name] for name in named]
        return None if None in chosen else sum(chosen)

    def _metric(self, series, query, minute):
        return series.window(self._key(query), minute - self.period + 1, minute, query["MetricStat"]["Stat"])

    def _key(self, query):
        metric = query["MetricStat"]["Metric"]
        (dimension,) = metric["Dimensions"]
        return metric["Namespace"], metric["MetricName"], self._names(dimension["Value"])

    def is_breached(self, series, minute):
        """Whether the windows that end with this minute put the alarm into ALARM."""
        windows = self.body["EvaluationPeriods"]
        needed = self.body.get("DatapointsToAlarm", windows)
        points = [self.point(series, minute - number * self.period) for number in range(windows)]
        silent = self.body["TreatMissingData"] == "breaching"
        return sum(silent if point is None else point > self.body["Threshold"] for point in points) >= needed

    def rings(self, series, first, last):
        """The minutes at which it goes from OK to ALARM."""
        found, before = [], False
        for minute in range(first, last + 1):
            now = self.is_breached(series, minute)
            if now and not before:
                found.append(minute)
            before = now
        return found


def of_stack(stack, names):
    """Every alarm of a translated stack."""
    return [Alarm(logical, body, names) for logical, body in properties(stack, "AWS::CloudWatch::Alarm").items()]
