// Who am I, and who am I as a role? Usage: go run . [ROLE_ARN]. Endpoint and credentials come from the environment.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func main() {
	ctx := context.Background()
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	client := sts.NewFromConfig(settings)
	show(ctx, client)
	if len(os.Args) > 1 {
		settings.Credentials = stscreds.NewAssumeRoleProvider(client, os.Args[1])
		show(ctx, sts.NewFromConfig(settings))
	}
}

func show(ctx context.Context, client *sts.Client) {
	answer, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(*answer.Arn)
}
