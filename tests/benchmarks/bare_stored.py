"""The least that a stored token can cost: two clients made at import, one GetItem."""

import json
import os

import boto3

dynamodb = boto3.client("dynamodb")
secrets = boto3.client("secretsmanager")
TABLE = os.environ["TABLE_NAME"]
PARTITION = f"{os.environ['AURORA_ENVIRONMENT']}#{os.environ['AURORA_TENANT_ID']}"


def handler(event, _context):
    email = event["requestContext"]["authorizer"]["jwt"]["claims"]["email"]
    item = dynamodb.get_item(
        TableName=TABLE,
        Key={"pk": {"S": f"{PARTITION}#{email}"}, "sk": {"S": "TOKEN"}},
        ConsistentRead=True,
    )["Item"]
    return {"statusCode": 200, "headers": {}, "body": json.dumps({"jwt": item["jwt"]["S"]})}
