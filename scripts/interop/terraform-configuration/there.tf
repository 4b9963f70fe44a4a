# In another account, by a role that the provider assumes.

data "aws_caller_identity" "there" {
  provider = aws.there
}

data "aws_iam_session_context" "there" {
  provider = aws.there
  arn      = data.aws_caller_identity.there.arn
}

resource "aws_iam_role" "there" {
  provider = aws.there
  name     = "made-by-terraform"
  tags     = { Issuer = data.aws_iam_session_context.there.issuer_name, Team = local.word }
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = data.aws_caller_identity.me.account_id }
    }]
  })
}
