# Every service of the broker for which the provider has resources has its endpoint here: one that is left out goes to AWS.
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

variable "endpoint" {
  type    = string
  default = "http://127.0.0.1:8080"
}

provider "aws" {
  region                  = "us-east-1"
  skip_metadata_api_check = true
  skip_region_validation  = true

  endpoints {
    accessanalyzer  = var.endpoint
    cloudtrail      = var.endpoint
    cognitoidentity = var.endpoint
    eks             = var.endpoint
    iam             = var.endpoint
    identitystore   = var.endpoint
    organizations   = var.endpoint
    rolesanywhere   = var.endpoint
    sts             = var.endpoint
  }
}

resource "aws_iam_role" "deployer" {
  name = "deployer"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = data.aws_caller_identity.me.account_id }
    }]
  })
}

data "aws_caller_identity" "me" {}

output "arn" {
  value = aws_iam_role.deployer.arn
}
