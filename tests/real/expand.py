"""Prints the template as plain CloudFormation: `python tests/real/expand.py > glint-gitlab-trigger.json`.

For `aws_cloudformation_stack` of Terraform, `CfnInclude` of the CDK, and the console. The functions' zip is in a bucket of
the user's, which two more parameters name. Needs `aws-sam-translator` and PyYAML's loader of the SAM CLI.
"""

import json
import pathlib
import sys

from samcli.yamlhelper import yaml_parse

from cloudformation import translate

TEMPLATE = pathlib.Path(__file__).resolve().parents[2] / "template.yaml"
CODE_PARAMETERS = {
    "CodeBucket": {"Type": "String", "Description": "Bucket in the stack's region that holds the release's zip for arm64"},
    "CodeKey": {"Type": "String", "Default": "glint-gitlab-trigger-arm64.zip", "Description": "Key of that zip in the bucket"},
}


def expanded(text):
    """The template of `text` without SAM."""
    whole = translate(yaml_parse(text))
    whole["Parameters"] |= CODE_PARAMETERS
    whole["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"][0]["Parameters"][:0] = list(CODE_PARAMETERS)
    for resource in whole["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            # Only `sam build` reads it.
            resource.pop("Metadata", None)
            resource["Properties"]["Code"] = {"S3Bucket": {"Ref": "CodeBucket"}, "S3Key": {"Ref": "CodeKey"}}
    return whole


if __name__ == "__main__":
    # Without white space it is below the 51,200 bytes that CloudFormation takes without a bucket.
    json.dump(expanded(TEMPLATE.read_text()), sys.stdout, separators=(",", ":"))
    sys.stdout.write("\n")
