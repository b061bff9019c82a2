"""What a company has already, and names in a stage instead of having the stack make it."""

from collections.abc import Iterator
from dataclasses import dataclass

from token_vendor.options import Names, Pairs, option
from token_vendor.settings import Options

# CloudFormation's tags of a stack, and Lambda's subnets and security groups of a function:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html
# https://docs.aws.amazon.com/lambda/latest/api/API_VpcConfig.html
MOST_OF = {"tags": 50, "subnet_ids": 16, "security_group_ids": 5}
LONGEST_TAG_NAME = 128
TOGETHER = (
    ("account", "region"),
    ("domain_name", "certificate_arn"),
    ("subnet_ids", "security_group_ids"),
)
# A web ACL of CloudFront is in us-east-1, whatever region the stage has.
REGIONAL = ("alarm_topic_arn", "kms_key_arn", "secret_arn", "secret_kms_key_arn", "certificate_arn")


def arn(service: str, resource: str, *, region: str = "[a-z0-9-]+") -> str:
    """Return the shape of an option that is a resource's ARN, or empty."""
    return rf"(?:arn:aws[a-z-]*:{service}:{region}:\d{{12}}:{resource})?"


@dataclass(frozen=True, kw_only=True)
class GivenOptions(Options):
    """The options of a stage that name something of the company's; by default, none does."""

    account: str = option(
        "the 12 digits of the only AWS account to deploy to",
        "",
        shape=r"(?:\d{12})?",
    )
    region: str = option(
        'the only region to deploy to, such as "eu-central-1"',
        "",
        shape=r"(?:[a-z]{2}(?:-[a-z]+)+-\d)?",
    )
    tags: Pairs = option(
        'an object {"name": "value"} for everything in the stack: letters, digits, blanks and '
        "_.:/=+-@",
        (),
        shape=r"[\w .:/=+@-]{0,256}",
    )
    kms_key_arn: str = option(
        "the ARN of a KMS key of this region, instead of the stack's own",
        "",
        shape=arn("kms", r"key/[A-Za-z0-9-]+"),
    )
    encrypt_logs: bool = option(
        "true encrypts logs and the alarms' topic with the stage's KMS key, too", False
    )
    secret_arn: str = option(
        "the whole ARN of the secret that holds Aurora's API key, instead of the stack's own",
        "",
        shape=arn("secretsmanager", r"secret:[\w/+=.@-]+-[A-Za-z0-9]{6}"),
    )
    secret_kms_key_arn: str = option(
        "the ARN of the KMS key that encrypts secret_arn, unless that is AWS's own",
        "",
        shape=arn("kms", r"key/[A-Za-z0-9-]+"),
    )
    domain_name: str = option(
        'a host name for the API such as "tokens.example.com", in lower case',
        "",
        shape=r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+)?",
    )
    certificate_arn: str = option(
        "the ARN of a certificate for domain_name in Certificate Manager, in the API's region",
        "",
        shape=arn("acm", r"certificate/[A-Za-z0-9-]+"),
    )
    subnet_ids: Names = option(
        "a list of private subnets for the function, from which Aurora can be reached",
        (),
        shape=r"subnet-[0-9a-f]{8,17}",
    )
    security_group_ids: Names = option(
        "a list of security groups for the function, in the subnets' VPC",
        (),
        shape=r"sg-[0-9a-f]{8,17}",
    )
    website_web_acl_arn: str = option(
        "the ARN of a WAF web ACL for CloudFront (global, in us-east-1) before the website",
        "",
        shape=arn("wafv2", r"global/webacl/[\w-]+/[A-Za-z0-9-]+", region="us-east-1"),
    )
    alarm_topic_arn: str = option(
        "the ARN of an SNS topic that alarms go to, instead of the stack's own",
        "",
        shape=arn("sns", r"[A-Za-z0-9_-]+"),
    )

    def contradictions(self) -> Iterator[tuple[str, str]]:
        yield from super().contradictions()
        for one, other in TOGETHER:
            if bool(getattr(self, one)) != bool(getattr(self, other)):
                yield one, f"goes together with {other}"
        if self.secret_kms_key_arn and not self.secret_arn:
            yield "secret_kms_key_arn", "goes together with secret_arn"
        for name, most in MOST_OF.items():
            if len(getattr(self, name)) > most:
                yield name, f"AWS takes {most} of them"
        for name, _ in self.tags:
            if not 0 < len(name) <= LONGEST_TAG_NAME or name.lower().startswith("aws:"):
                yield "tags", f"AWS does not take the name {name!r}"
        regions = {name: text.split(":")[3] for name in REGIONAL if (text := getattr(self, name))}
        expected = self.region or next(iter(regions.values()), "")
        for name, region in regions.items():
            if region != expected:
                yield name, f"is of {region}, and the stage of {expected}"
