import java.nio.ByteBuffer;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import software.amazon.awssdk.auth.credentials.AwsCredentials;
import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.async.AsyncRequestBody;
import software.amazon.awssdk.core.async.AsyncResponseTransformer;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudtrail.CloudTrailClient;
import software.amazon.awssdk.services.cognitoidentity.CognitoIdentityClient;
import software.amazon.awssdk.services.eks.EksClient;
import software.amazon.awssdk.services.iam.IamClient;
import software.amazon.awssdk.services.iam.model.EntityAlreadyExistsException;
import software.amazon.awssdk.services.iam.model.NoSuchEntityException;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3Configuration;
import software.amazon.awssdk.services.s3.model.ChecksumAlgorithm;
import software.amazon.awssdk.services.s3.model.Delete;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.ObjectIdentifier;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;
import software.amazon.awssdk.services.sts.StsClient;
import software.amazon.awssdk.services.sts.auth.StsAssumeRoleCredentialsProvider;
import software.amazon.awssdk.transfer.s3.S3TransferManager;

/** One program for each way that a program in Java uses a broker; all it knows of the broker is in the environment. */
public final class Client {
    static final String POLICY =
        "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}}";

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "who" -> who();
            case "services" -> services();
            case "refusals" -> refusals();
            case "renewal" -> renewal(arguments[1]);
            case "objects" -> objects(arguments[1]);
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    static void require(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    /** The default chain, then a request that is signed with what it found. */
    static void who() {
        try (StsClient sts = StsClient.create(); DefaultCredentialsProvider chain = DefaultCredentialsProvider.builder().build()) {
            AwsCredentials found = chain.resolveCredentials();
            String source = found.providerName().orElse("");
            System.out.println(sts.getCallerIdentity().arn() + " " + found.accessKeyId() + " " + source);
        }
    }

    /** A call in each protocol: the query protocol, JSON, and JSON over HTTP. */
    static void services() throws Exception {
        try (IamClient iam = IamClient.builder().region(Region.AWS_GLOBAL).build()) {
            for (int number = 0; number < 5; number++) {
                String name = "java-" + number;
                iam.createUser(request -> request.userName(name).path("/java/"));
            }
            require(
                iam.waiter().waitUntilUserExists(request -> request.userName("java-4")).matched().response().isPresent(),
                "the waiter saw no user"
            );
            long listed = iam.listUsersPaginator(request -> request.pathPrefix("/java/").maxItems(2)).users().stream().count();
            require(listed == 5, "the pages have " + listed + " users");
            iam.putUserPolicy(request -> request.userName("java-0").policyName("b+c=d,e.f@g-h").policyDocument(POLICY));
        }
        try (IamClient iam = IamClient.builder().region(Region.AWS_GLOBAL).build()) {
            String read = iam.getUserPolicy(request -> request.userName("java-0").policyName("b+c=d,e.f@g-h")).policyDocument();
            require(java.net.URLDecoder.decode(read, StandardCharsets.UTF_8).equals(POLICY), "another policy: " + read);
            iam.deleteUserPolicy(request -> request.userName("java-0").policyName("b+c=d,e.f@g-h"));
        }
        try (CognitoIdentityClient pools = CognitoIdentityClient.create()) {
            String made = pools.createIdentityPool(
                request -> request.identityPoolName("java").allowUnauthenticatedIdentities(false)
            ).identityPoolId();
            require(pools.listIdentityPoolsPaginator(request -> request.maxResults(5)).stream()
                .anyMatch(page -> page.identityPools().stream().anyMatch(one -> one.identityPoolId().equals(made))),
                "no pool " + made);
        }
        try (EksClient clusters = EksClient.create()) {
            require(clusters.listClusters().clusters().isEmpty(), "there is a cluster");
        }
        try (CloudTrailClient trail = CloudTrailClient.create()) {
            require(trail.lookupEvents(request -> request.maxResults(50)).events().stream()
                .anyMatch(event -> event.eventName().equals("CreateUser") && event.eventTime() != null),
                "the history has no CreateUser");
        }
    }

    /** The errors that a program catches by their class, code and status. */
    static void refusals() {
        try (IamClient iam = IamClient.builder().region(Region.AWS_GLOBAL).build()) {
            iam.createUser(request -> request.userName("twice"));
            try {
                iam.createUser(request -> request.userName("twice"));
                throw new AssertionError("made twice");
            } catch (EntityAlreadyExistsException refused) {
                require(refused.statusCode() == 409 && refused.requestId() != null, "" + refused);
            }
            try {
                iam.getRole(request -> request.roleName("none"));
                throw new AssertionError("there is one");
            } catch (NoSuchEntityException refused) {
                require(refused.awsErrorDetails().errorMessage().contains("none"), "" + refused);
            }
        }
        try (StsClient sts = StsClient.create()) {
            sts.assumeRole(request -> request.roleArn("arn:aws:iam::123456789012:role/none").roleSessionName("java"));
            throw new AssertionError("assumed");
        } catch (AwsServiceException refused) {
            require(refused.awsErrorDetails().errorCode().equals("AccessDenied") && refused.statusCode() == 403, "" + refused);
        }
        try (EksClient clusters = EksClient.create()) {
            clusters.describeCluster(request -> request.name("none"));
            throw new AssertionError("described");
        } catch (software.amazon.awssdk.services.eks.model.ResourceNotFoundException refused) {
            require(refused.statusCode() == 404, "" + refused);
        }
        try (CognitoIdentityClient pools = CognitoIdentityClient.create()) {
            pools.describeIdentityPool(request -> request.identityPoolId("us-east-1:00000000-0000-0000-0000-000000000000"));
            throw new AssertionError("described");
        } catch (software.amazon.awssdk.services.cognitoidentity.model.ResourceNotFoundException refused) {
            require(refused.statusCode() == 400, "" + refused);
        }
    }

    /** A provider that assumes a role renews the session before it ends: here at once, as it is told to. */
    static void renewal(String role) {
        try (
            StsClient sts = StsClient.create();
            StsAssumeRoleCredentialsProvider provider = StsAssumeRoleCredentialsProvider.builder()
                .stsClient(sts)
                .staleTime(Duration.ofMinutes(16))
                .prefetchTime(Duration.ofMinutes(17))
                .refreshRequest(request -> request.roleArn(role).roleSessionName("java").durationSeconds(900))
                .build();
            StsClient assumed = StsClient.builder().credentialsProvider(provider).build()
        ) {
            String first = provider.resolveCredentials().accessKeyId();
            require(assumed.getCallerIdentity().arn().endsWith("/java"), "another session");
            AwsSessionCredentials second = (AwsSessionCredentials) provider.resolveCredentials();
            require(!second.accessKeyId().equals(first), "the same session");
            require(second.accountId().orElse("").equals(role.split(":")[4]), "the account is " + second.accountId());
        }
    }

    /** Objects by the clients of S3: plain, asynchronous in parts, by the transfer manager, and by a presigned URL. */
    static void objects(String endpoint) throws Exception {
        byte[] large = new byte[20 << 20];
        Arrays.fill(large, (byte) 7);
        S3Configuration paths = S3Configuration.builder().pathStyleAccessEnabled(true).build();
        URI url = URI.create(endpoint);
        try (
            S3Client s3 = S3Client.builder().endpointOverride(url).serviceConfiguration(paths).build();
            S3AsyncClient parts = S3AsyncClient.builder().endpointOverride(url).forcePathStyle(true).multipartEnabled(true).build();
            S3TransferManager transfers = S3TransferManager.builder().s3Client(parts).build();
            S3Presigner presigner = S3Presigner.builder().endpointOverride(url).serviceConfiguration(paths).build()
        ) {
            String text = "größe & more";
            s3.putObject(request -> request.bucket("lake").key("t1/a b+c/ä.txt"), RequestBody.fromString(text));
            require(s3.getObjectAsBytes(request -> request.bucket("lake").key("t1/a b+c/ä.txt")).asUtf8String().equals(text), "other text");
            for (ChecksumAlgorithm algorithm : List.of(ChecksumAlgorithm.SHA256, ChecksumAlgorithm.CRC32, ChecksumAlgorithm.SHA1)) {
                s3.putObject(request -> request.bucket("lake").key("t1/" + algorithm).checksumAlgorithm(algorithm),
                    RequestBody.fromBytes(large));
                require(s3.getObjectAsBytes(request -> request.bucket("lake").key("t1/" + algorithm).range("bytes=5-8")).asByteArray().length == 4,
                    "another range");
            }
            parts.putObject(request -> request.bucket("lake").key("t1/parts"), AsyncRequestBody.fromBytes(large)).join();
            ByteBuffer read = parts.getObject(request -> request.bucket("lake").key("t1/parts"), AsyncResponseTransformer.toBytes())
                .join().asByteBuffer();
            require(read.remaining() == large.length, "another length");
            transfers.upload(request -> request.putObjectRequest(put -> put.bucket("lake").key("t1/managed"))
                .requestBody(AsyncRequestBody.fromBytes(large))).completionFuture().join();
            require(s3.headObject(request -> request.bucket("lake").key("t1/managed")).contentLength() == large.length, "another length");
            long keys = s3.listObjectsV2Paginator(request -> request.bucket("lake").prefix("t1/").maxKeys(2)).contents().stream().count();
            require(keys == 6, keys + " keys");
            s3.copyObject(request -> request.sourceBucket("lake").sourceKey("t1/a b+c/ä.txt").destinationBucket("lake").destinationKey("t1/copy"));
            Delete both = Delete.builder().objects(
                List.of(ObjectIdentifier.builder().key("t1/copy").build(), ObjectIdentifier.builder().key("t1/managed").build())
            ).build();
            require(s3.deleteObjects(request -> request.bucket("lake").delete(both)).deleted().size() == 2, "not deleted");
            GetObjectRequest wanted = GetObjectRequest.builder().bucket("lake").key("t1/a b+c/ä.txt").build();
            HttpURLConnection opened = (HttpURLConnection) presigner
                .presignGetObject(request -> request.signatureDuration(Duration.ofMinutes(5)).getObjectRequest(wanted))
                .url().openConnection();
            require(new String(opened.getInputStream().readAllBytes(), StandardCharsets.UTF_8).equals(text), "other text");
            try {
                s3.getObjectAsBytes(request -> request.bucket("lake").key("t2/secret"));
                throw new AssertionError("read what the session may not");
            } catch (S3Exception refused) {
                require(refused.statusCode() == 403 && refused.awsErrorDetails().errorCode().equals("AccessDenied"), "" + refused);
            }
        }
    }
}
