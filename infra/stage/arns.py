"""
AWS's resource names (ARNs) as an option may have them.
"""


def arn(service: str, resource: str, *, region: str = "[a-z0-9-]+") -> str:
    """
    Return the shape of an option that is a resource's ARN, or empty.
    """
    return rf"(?:arn:aws[a-z-]*:{service}:{region}:\d{{12}}:{resource})?"


def region_of(text: str) -> str:
    """
    Return the region that an ARN names.
    """
    return text.split(":")[3]
