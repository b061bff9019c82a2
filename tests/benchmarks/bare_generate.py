"""The page's flow run naively: secret, list, generate, put. No lease, no budget, no time-out."""

import json
import os

import boto3
import urllib3

dynamodb = boto3.client("dynamodb")
secrets = boto3.client("secretsmanager")
http = urllib3.PoolManager()
TABLE = os.environ["TABLE_NAME"]
PARTITION = f"{os.environ['AURORA_ENVIRONMENT']}#{os.environ['AURORA_TENANT_ID']}"
USERS = f"{os.environ['AURORA_URL']}/tenants/{os.environ['AURORA_TENANT_ID']}/users"


def handler(event, _context):
    email = event["requestContext"]["authorizer"]["jwt"]["claims"]["email"]
    key = secrets.get_secret_value(SecretId=os.environ["AURORA_SECRET_ARN"])["SecretString"]
    headers = {"Authorization": f"Bearer {key}"}
    listed = http.request("GET", USERS, headers=headers, retries=False)
    if listed.status != 200:
        return {"statusCode": listed.status, "headers": {}, "body": "{}"}
    user = next(
        user
        for user in listed.json()["users"]
        if user["email"] == email and user["account_status"] == "active"
    )
    generated = http.request(
        "POST", f"{USERS}/{user['id']}/generate_token", headers=headers, retries=False
    )
    if generated.status != 200:
        return {"statusCode": generated.status, "headers": {}, "body": "{}"}
    jwt = generated.json()["token"]["jwt"]
    dynamodb.put_item(
        TableName=TABLE,
        Item={
            "pk": {"S": f"{PARTITION}#{email}"},
            "sk": {"S": "TOKEN"},
            "jwt": {"S": jwt},
        },
    )
    return {"statusCode": 200, "headers": {}, "body": json.dumps({"token": {"jwt": jwt}})}
