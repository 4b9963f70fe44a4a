terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

variable "endpoint" {
  type = string
}

variable "changed" {
  description = "Another value of what can be changed in place."
  type        = bool
  default     = false
}

variable "role" {
  description = "A role of another account."
  type        = string
}

# Made by the script: what Terraform cannot make without a second provider.
variable "saml_metadata" {
  type = string
}

variable "certificate" {
  type = string
}

variable "private_key" {
  type      = string
  sensitive = true
}

variable "signing_certificate" {
  type = string
}

variable "ssh_public_key" {
  type = string
}

provider "aws" {
  region                  = "us-east-1"
  skip_metadata_api_check = true
  skip_region_validation  = true

  endpoints {
    accessanalyzer = var.endpoint
    cloudtrail     = var.endpoint
    iam            = var.endpoint
    organizations  = var.endpoint
    sts            = var.endpoint
  }

  default_tags {
    tags = {
      Owner = "terraform"
    }
  }
}

provider "aws" {
  alias                   = "there"
  region                  = "us-east-1"
  skip_metadata_api_check = true
  skip_region_validation  = true

  endpoints {
    accessanalyzer = var.endpoint
    cloudtrail     = var.endpoint
    iam            = var.endpoint
    organizations  = var.endpoint
    sts            = var.endpoint
  }

  assume_role {
    role_arn     = var.role
    session_name = "terraform"
    external_id  = "of-terraform"
    tags = {
      Team = "platform"
    }
  }
}
