"""
One stage of cdk.json: its options with their types, bounds and shapes.

`config.py` declares what shapes the stack, `given.py` what a company has already; the function's
own options are those of `token_vendor.settings`. `reader.py` reads JSON into them and names
everything that is wrong. Nothing here needs the CDK: a wrong option is named before Node starts.
"""

from infra.stage.config import RETENTIONS, StageConfig, parse_override
from infra.stage.reader import StageError

__all__ = ["RETENTIONS", "StageConfig", "StageError", "parse_override"]
