"""AWS's wire protocols, driven by botocore's service models.

Owns: which protocol a request speaks and which operation it names, its parameters as typed structs, every constraint
of the model in AWS's words, results and refusals as XML and JSON, parameters as the journal may show them. A protocol
is a value (`broker.protocol.wire`), of which there are two: the Query protocol, answered in XML or in JSON. Never
decides who may do what, and opens no connection. Obeys the AWS Query protocol (Smithy `awsQuery`) and the models of
IAM 2010-05-08 and STS 2011-06-15; botocore is pinned exactly because its data is the specification.
"""
