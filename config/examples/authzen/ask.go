// May PRINCIPAL do ACTION on RESOURCE? Usage: ask PRINCIPAL ACTION RESOURCE. Endpoint and keys come from the environment.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
)

func main() {
	ctx := context.Background()
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	credentials, err := settings.Credentials.Retrieve(ctx)
	if err != nil {
		log.Fatal(err)
	}
	question, _ := json.Marshal(map[string]any{
		"subject":  map[string]string{"type": "principal", "id": os.Args[1]},
		"action":   map[string]string{"name": os.Args[2]},
		"resource": map[string]string{"type": "resource", "id": os.Args[3]},
	})
	url := os.Getenv("AWS_ENDPOINT_URL") + "/access/v1/evaluation"
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(question))
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	digest := sha256.Sum256(question)
	err = v4.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(digest[:]), "broker", settings.Region, time.Now())
	if err != nil {
		log.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	fmt.Println(string(body))
	if answer.StatusCode != http.StatusOK {
		os.Exit(1)
	}
}
