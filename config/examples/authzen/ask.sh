#!/bin/sh
# May PRINCIPAL do ACTION on RESOURCE? Usage: ask.sh PRINCIPAL ACTION RESOURCE. Endpoint and keys come from the environment.
set -eu
curl -sS --fail-with-body "$AWS_ENDPOINT_URL/access/v1/evaluation" \
    --aws-sigv4 "aws:amz:$AWS_REGION:broker" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
    --header "Content-Type: application/json" --data-binary @- <<END
{"subject": {"type": "principal", "id": "$1"}, "action": {"name": "$2"}, "resource": {"type": "resource", "id": "$3"}}
END
