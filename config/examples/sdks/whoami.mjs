// Who am I, and who am I as a role? Usage: node whoami.mjs [ROLE_ARN]. Endpoint and credentials come from the environment.
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

const client = new STSClient({});
console.log((await client.send(new GetCallerIdentityCommand({}))).Arn);
const [roleArn] = process.argv.slice(2);
if (roleArn) {
  const assumed = await client.send(new AssumeRoleCommand({ RoleArn: roleArn, RoleSessionName: "example" }));
  const { AccessKeyId, SecretAccessKey, SessionToken } = assumed.Credentials;
  const credentials = { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken };
  console.log((await new STSClient({ credentials }).send(new GetCallerIdentityCommand({}))).Arn);
}
