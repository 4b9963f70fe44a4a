"""AWS's wire protocols, driven by botocore's service models.

Owns: which operation a request names, its parameters as typed structs, every constraint of the model in
AWS's words, results and refusals as XML, parameters as the journal may show them. Never decides who may do
what, and never speaks HTTP. Obeys the AWS Query protocol (Smithy `awsQuery`) and the models of IAM
2010-05-08 and STS 2011-06-15; botocore is pinned exactly because its data is the specification.
"""
