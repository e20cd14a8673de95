"""Prints `template.yaml` as plain CloudFormation whose code is one zip beside it, so that a deploy needs no build.

    expand.py --code glint-gitlab-trigger-arm64.zip --architecture arm64
"""

import argparse
import copy
import json
import os
import pathlib

# The translator asks boto3 for a region; nothing is called.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samcli.yamlhelper import yaml_parse

import cloudformation

TEMPLATE = pathlib.Path(__file__).resolve().parents[2] / "template.yaml"
# What only `sam build` and the linters read.
BUILD_METADATA = ("BuildMethod", "BuildProperties", "SamResourceId", "checkov", "cfn-lint")


def expand(template, code, architecture):
    """`code` is a path beside the template: `aws cloudformation package` uploads it and puts its place there."""
    template = copy.deepcopy(template)
    template["Parameters"]["Architecture"] |= {"Default": architecture, "AllowedValues": [architecture]}
    expanded = cloudformation.translate(template)
    for resource in expanded["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"]["Code"] = code
        kept = {name: part for name, part in resource.pop("Metadata", {}).items() if name not in BUILD_METADATA}
        if kept:
            resource["Metadata"] = kept
    expanded["Metadata"].pop("cfn-lint", None)
    return expanded


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--code", required=True, help="the zip, as the template names it")
    parser.add_argument("--architecture", required=True, choices=["arm64", "x86_64"])
    given = parser.parse_args()
    expanded = expand(yaml_parse(TEMPLATE.read_text()), given.code, given.architecture)
    print(json.dumps(expanded, indent=1))


if __name__ == "__main__":
    main()
