#!/bin/sh
# Writes the rule of endpoint-rule-set-1.json for each service of the broker: AWS_DATA_PATH is the folder, ENDPOINT_URL the address.
set -eu
for service in sso-oidc/2019-06-10 sso/2019-06-10 sts/2011-06-15 iam/2010-05-08; do
    mkdir -p "$AWS_DATA_PATH/$service"
    sed "s|ENDPOINT_URL|$ENDPOINT_URL|" "$(dirname "$0")/endpoint-rule-set-1.json" > "$AWS_DATA_PATH/$service/endpoint-rule-set-1.json"
done
