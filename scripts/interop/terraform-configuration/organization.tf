# Every kind of resource of Organizations, with the caller's account as the management account.

resource "aws_organizations_organization" "this" {
  feature_set                   = "ALL"
  enabled_policy_types          = ["SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"]
  aws_service_access_principals = concat(["iam.amazonaws.com", "config.amazonaws.com"], var.changed ? ["ram.amazonaws.com"] : [])
}

resource "aws_iam_organizations_features" "this" {
  enabled_features = var.changed ? ["RootSessions", "RootCredentialsManagement"] : ["RootSessions"]
  depends_on       = [aws_organizations_organization.this]
}

resource "aws_organizations_organizational_unit" "workloads" {
  name      = "Workloads ${local.word}"
  parent_id = aws_organizations_organization.this.roots[0].id
  tags = {
    Team = local.word
  }
}

resource "aws_organizations_organizational_unit" "tests" {
  name      = "Tests"
  parent_id = aws_organizations_organizational_unit.workloads.id
}

resource "aws_organizations_account" "sandbox" {
  name      = "Sandbox"
  email     = "sandbox-${data.aws_caller_identity.me.account_id}@example.com"
  parent_id = var.changed ? aws_organizations_organizational_unit.tests.id : aws_organizations_organizational_unit.workloads.id
  tags = {
    Team = local.word
  }
}

resource "aws_organizations_policy" "region" {
  name        = "region-${local.word}"
  description = "The ${local.word} description"
  content = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = local.word
      Effect   = "Deny"
      Action   = "*"
      Resource = "*"
      Condition = {
        StringNotEquals = { "aws:RequestedRegion" = ["eu-central-1", "us-east-1"] }
      }
    }]
  })
  depends_on = [aws_organizations_organization.this]
  tags = {
    Team = local.word
  }
}

resource "aws_organizations_policy" "perimeter" {
  name = "perimeter"
  type = "RESOURCE_CONTROL_POLICY"
  content = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Deny"
      Principal = "*"
      Action    = "sts:AssumeRole"
      Resource  = "*"
      Condition = { Bool = { "aws:SecureTransport" = "never" } }
    }]
  })
  depends_on = [aws_organizations_organization.this]
}

resource "aws_organizations_policy_attachment" "region" {
  policy_id = aws_organizations_policy.region.id
  target_id = var.changed ? aws_organizations_account.sandbox.id : aws_organizations_organizational_unit.tests.id
}

resource "aws_organizations_policy_attachment" "perimeter" {
  policy_id = aws_organizations_policy.perimeter.id
  target_id = aws_organizations_organizational_unit.workloads.id
}

resource "aws_organizations_delegated_administrator" "config" {
  account_id        = aws_organizations_account.sandbox.id
  service_principal = "config.amazonaws.com"
  depends_on        = [aws_organizations_organization.this]
}

resource "aws_organizations_resource_policy" "this" {
  content = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = local.word
      Effect    = "Allow"
      Principal = { AWS = aws_organizations_account.sandbox.id }
      Action    = "organizations:DescribeOrganization"
      Resource  = "*"
    }]
  })
  tags = {
    Team = local.word
  }
}

data "aws_organizations_organizational_unit_descendant_accounts" "all" {
  parent_id  = aws_organizations_organization.this.roots[0].id
  depends_on = [aws_organizations_account.sandbox]
}

data "aws_organizations_policies_for_target" "tests" {
  target_id  = aws_organizations_organizational_unit.workloads.id
  filter     = "RESOURCE_CONTROL_POLICY"
  depends_on = [aws_organizations_policy_attachment.perimeter]
}

data "aws_organizations_delegated_services" "sandbox" {
  account_id = aws_organizations_delegated_administrator.config.account_id
}

data "aws_organizations_resource_tags" "sandbox" {
  resource_id = aws_organizations_account.sandbox.id
}

output "organization" {
  value = {
    master     = aws_organizations_organization.this.master_account_id
    accounts   = sort([for one in data.aws_organizations_organizational_unit_descendant_accounts.all.accounts : one.name])
    perimeters = length(data.aws_organizations_policies_for_target.tests.ids)
    delegated  = [for one in data.aws_organizations_delegated_services.sandbox.delegated_services : one.service_principal]
    tags       = data.aws_organizations_resource_tags.sandbox.tags
  }
}
