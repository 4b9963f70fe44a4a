#!/bin/sh
# Once, as an administrator of the account: the broker learns of GitLab, and a role trusts one branch of one project.
set -eu
aws iam create-open-id-connect-provider --url https://gitlab.example.com --client-id-list sts.amazonaws.com
aws iam create-role --role-name gitlab-deployer --assume-role-policy-document file://trust.json
