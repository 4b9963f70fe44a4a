# Every kind of resource of IAM that the provider has, in the account of the caller.

locals {
  word  = var.changed ? "second" : "first"
  age   = var.changed ? 90 : 60
  start = var.changed ? "Inactive" : "Active"
}

data "aws_caller_identity" "me" {}

data "aws_iam_policy" "read_only" {
  name = "ReadOnlyAccess"
}

data "aws_iam_policy_document" "objects" {
  statement {
    sid       = local.word
    actions   = ["s3:PutObject", "s3:GetObject"]
    resources = ["arn:aws:s3:::bucket/*", "arn:aws:s3:::another/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalTag/Team"
      values   = ["platform", "data"]
    }
  }

  statement {
    effect      = "Deny"
    not_actions = ["s3:*"]
    resources   = ["*"]
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]

    principals {
      type        = "AWS"
      identifiers = [data.aws_caller_identity.me.account_id, aws_iam_user.people["alice"].arn]
    }

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com", "lambda.amazonaws.com"]
    }
  }

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.github.arn]
    }

    condition {
      test     = "StringLike"
      variable = "token.actions.githubusercontent.com:sub"
      values   = ["repo:example/*:*"]
    }
  }

  statement {
    actions = ["sts:AssumeRoleWithSAML"]

    principals {
      type        = "Federated"
      identifiers = [aws_iam_saml_provider.company.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "SAML:aud"
      values   = ["https://signin.aws.amazon.com/saml"]
    }
  }
}

resource "aws_iam_account_alias" "this" {
  account_alias = "terraform-${data.aws_caller_identity.me.account_id}"
}

resource "aws_iam_account_password_policy" "strict" {
  minimum_password_length        = var.changed ? 20 : 16
  require_lowercase_characters   = true
  require_uppercase_characters   = true
  require_numbers                = true
  require_symbols                = var.changed
  allow_users_to_change_password = true
  password_reuse_prevention      = 5
  max_password_age               = local.age
  hard_expiry                    = false
}

resource "aws_iam_security_token_service_preferences" "this" {
  global_endpoint_token_version = "v2Token"
}

resource "aws_iam_user" "people" {
  for_each             = toset(["alice", "Bob"])
  name                 = each.key
  path                 = "/people/"
  permissions_boundary = data.aws_iam_policy.read_only.arn
  force_destroy        = true
  tags = {
    Team = local.word
  }
}

resource "aws_iam_group" "developers" {
  name = var.changed ? "developers-renamed" : "developers"
  path = "/teams/"
}

resource "aws_iam_group" "readers" {
  name = "readers"
}

resource "aws_iam_group_membership" "developers" {
  name  = "developers"
  group = aws_iam_group.developers.name
  users = var.changed ? [aws_iam_user.people["alice"].name] : [for user in aws_iam_user.people : user.name]
}

resource "aws_iam_user_group_membership" "alice" {
  user   = aws_iam_user.people["alice"].name
  groups = [aws_iam_group.readers.name]
}

resource "aws_iam_policy" "objects" {
  name        = "objects"
  path        = "/policies/"
  description = "Objects of two buckets"
  policy      = data.aws_iam_policy_document.objects.json
  tags = {
    Team = local.word
  }
}

resource "aws_iam_policy" "prefixed" {
  name_prefix = "prefixed-"
  policy      = data.aws_iam_policy_document.objects.json
}

resource "aws_iam_policy_attachment" "objects" {
  name       = "objects"
  policy_arn = aws_iam_policy.objects.arn
  users      = [aws_iam_user.people["alice"].name]
  roles      = [aws_iam_role.app.name]
  groups     = [aws_iam_group.developers.name]
}

resource "aws_iam_user_policy" "alice" {
  name   = "own"
  user   = aws_iam_user.people["alice"].name
  policy = data.aws_iam_policy_document.objects.json
}

resource "aws_iam_group_policy" "developers" {
  name   = "own"
  group  = aws_iam_group.developers.name
  policy = data.aws_iam_policy_document.objects.json
}

resource "aws_iam_role_policy" "app" {
  name   = "own"
  role   = aws_iam_role.app.id
  policy = data.aws_iam_policy_document.objects.json
}

resource "aws_iam_user_policy_attachment" "alice" {
  user       = aws_iam_user.people["alice"].name
  policy_arn = "arn:aws:iam::aws:policy/SecurityAudit"
}

resource "aws_iam_group_policy_attachment" "readers" {
  group      = aws_iam_group.readers.name
  policy_arn = data.aws_iam_policy.read_only.arn
}

resource "aws_iam_role_policy_attachment" "app" {
  role       = aws_iam_role.app.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_iam_role" "app" {
  name                  = "app"
  path                  = "/applications/"
  description           = "The ${local.word} description"
  max_session_duration  = var.changed ? 7200 : 43200
  assume_role_policy    = data.aws_iam_policy_document.trust.json
  permissions_boundary  = data.aws_iam_policy.read_only.arn
  force_detach_policies = true
  tags = {
    Team = local.word
  }
}

resource "aws_iam_role" "exclusive" {
  name_prefix = "exclusive-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = {
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = data.aws_caller_identity.me.account_id }
    }
  })
}

resource "aws_iam_role_policy" "exclusive" {
  name   = "only"
  role   = aws_iam_role.exclusive.name
  policy = data.aws_iam_policy_document.objects.json
}

resource "aws_iam_role_policies_exclusive" "exclusive" {
  role_name    = aws_iam_role.exclusive.name
  policy_names = [aws_iam_role_policy.exclusive.name]
}

resource "aws_iam_role_policy_attachments_exclusive" "exclusive" {
  role_name   = aws_iam_role.exclusive.name
  policy_arns = [for attached in aws_iam_role_policy_attachment.exclusive : attached.policy_arn]
}

resource "aws_iam_role_policy_attachment" "exclusive" {
  count      = var.changed ? 1 : 0
  role       = aws_iam_role.exclusive.name
  policy_arn = aws_iam_policy.prefixed.arn
}

resource "aws_iam_user_policies_exclusive" "bob" {
  user_name    = aws_iam_user.people["Bob"].name
  policy_names = []
}

resource "aws_iam_user_policy_attachments_exclusive" "bob" {
  user_name   = aws_iam_user.people["Bob"].name
  policy_arns = [data.aws_iam_policy.read_only.arn]
}

resource "aws_iam_group_policies_exclusive" "readers" {
  group_name   = aws_iam_group.readers.name
  policy_names = []
}

resource "aws_iam_group_policy_attachments_exclusive" "readers" {
  group_name  = aws_iam_group.readers.name
  policy_arns = [aws_iam_group_policy_attachment.readers.policy_arn]
}

resource "aws_iam_instance_profile" "app" {
  name = "app"
  path = "/applications/"
  role = var.changed ? aws_iam_role.exclusive.name : aws_iam_role.app.name
  tags = {
    Team = local.word
  }
}

resource "aws_iam_access_key" "alice" {
  user   = aws_iam_user.people["alice"].name
  status = local.start
}

resource "aws_iam_user_login_profile" "alice" {
  user                    = aws_iam_user.people["alice"].name
  password_length         = 30
  password_reset_required = true
  depends_on              = [aws_iam_account_password_policy.strict]

  lifecycle {
    ignore_changes = [password_length, password_reset_required]
  }
}

resource "aws_iam_user_ssh_key" "alice" {
  username   = aws_iam_user.people["alice"].name
  encoding   = "SSH"
  public_key = var.ssh_public_key
  status     = local.start
}

resource "aws_iam_signing_certificate" "alice" {
  user_name        = aws_iam_user.people["alice"].name
  certificate_body = var.signing_certificate
  status           = local.start
}

resource "aws_iam_service_specific_credential" "alice" {
  user_name    = aws_iam_user.people["alice"].name
  service_name = "codecommit.amazonaws.com"
  status       = local.start
}

resource "aws_iam_virtual_mfa_device" "alice" {
  virtual_mfa_device_name = "alice"
  path                    = "/people/"
  tags = {
    Team = local.word
  }
}

resource "aws_iam_server_certificate" "site" {
  name             = "site"
  path             = "/sites/"
  certificate_body = var.certificate
  private_key      = var.private_key
  tags = {
    Team = local.word
  }
}

resource "aws_iam_openid_connect_provider" "github" {
  url             = "https://token.actions.githubusercontent.com"
  client_id_list  = var.changed ? ["sts.amazonaws.com", "another"] : ["sts.amazonaws.com"]
  thumbprint_list = [var.changed ? "6938fd4d98bab03faadb97b34396831e3780aea1" : "1c58a3a8518e8759bf075b76b750d4f2df264fcd"]
  tags = {
    Team = local.word
  }
}

resource "aws_iam_saml_provider" "company" {
  name                   = "company"
  saml_metadata_document = var.saml_metadata
  tags = {
    Team = local.word
  }
}

resource "aws_iam_service_linked_role" "autoscaling" {
  aws_service_name = "autoscaling.amazonaws.com"
  custom_suffix    = "terraform"
  description      = "The ${local.word} description"
  tags = {
    Team = local.word
  }
}

data "aws_iam_principal_policy_simulation" "app" {
  action_names      = ["s3:GetObject"]
  policy_source_arn = aws_iam_user.people["alice"].arn
  resource_arns     = ["arn:aws:s3:::bucket/key"]
  depends_on        = [aws_iam_user_policy.alice]

  context {
    key    = "aws:PrincipalTag/Team"
    type   = "string"
    values = ["platform"]
  }
}

data "aws_iam_users" "people" {
  path_prefix = "/people/"
  depends_on  = [aws_iam_user.people]
}

data "aws_iam_roles" "applications" {
  path_prefix = "/applications/"
  depends_on  = [aws_iam_role.app]
}

data "aws_iam_group" "developers" {
  group_name = aws_iam_group_membership.developers.group
}

data "aws_iam_access_keys" "alice" {
  user       = aws_iam_user.people["alice"].name
  depends_on = [aws_iam_access_key.alice]
}

data "aws_iam_instance_profile" "app" {
  name = aws_iam_instance_profile.app.name
}

data "aws_iam_server_certificate" "site" {
  name = aws_iam_server_certificate.site.name
}

output "facts" {
  value = {
    account   = data.aws_caller_identity.me.account_id
    simulated = data.aws_iam_principal_policy_simulation.app.all_allowed
    people    = sort(data.aws_iam_users.people.names)
    roles     = sort(data.aws_iam_roles.applications.names)
    members   = sort([for user in data.aws_iam_group.developers.users : user.user_name])
    keys      = length(data.aws_iam_access_keys.alice.access_keys)
    profile   = data.aws_iam_instance_profile.app.role_name == aws_iam_instance_profile.app.role
    site      = data.aws_iam_server_certificate.site.path
    there     = data.aws_caller_identity.there.account_id
  }
}
