// Loads an expanded template into a CDK stack and prints what the CDK makes of it: `node cdk_include.cjs FILE.json`.
const { App, Stack } = require("aws-cdk-lib");
const { CfnInclude } = require("aws-cdk-lib/cloudformation-include");

const app = new App();
const stack = new Stack(app, "glint-gitlab-trigger");
new CfnInclude(stack, "Trigger", {
  templateFile: process.argv[2] || "glint-gitlab-trigger.json",
  parameters: { CodeBucket: "my-bucket", GitLabUrl: "https://gitlab.example.com" },
});
process.stdout.write(JSON.stringify(app.synth().getStackByName("glint-gitlab-trigger").template));
