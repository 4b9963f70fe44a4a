// The parts of HashiCorp Vault that speak to AWS: its method of authentication, and its engine of secrets, each with a
// storage in memory. A line of standard input is a request in JSON, a line of standard output its answer.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"

	"github.com/aws/aws-sdk-go/aws/credentials"
	hclog "github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-secure-stdlib/awsutil"
	authentication "github.com/hashicorp/vault/builtin/credential/aws"
	secrets "github.com/hashicorp/vault/builtin/logical/aws"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/rotation"
)

type request struct {
	Mount     string                 `json:"mount"`
	Operation string                 `json:"operation"`
	Path      string                 `json:"path"`
	Data      map[string]interface{} `json:"data"`
	Secret    map[string]interface{} `json:"secret"`
}

type mount struct {
	backend logical.Backend
	storage logical.Storage
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// A system that renews nothing by a timetable.
type system struct{ logical.SystemView }

func (system) DeregisterRotationJob(context.Context, *rotation.RotationJobDeregisterRequest) error {
	return nil
}

func mounted(factory logical.Factory) mount {
	config := logical.TestBackendConfig()
	config.StorageView = &logical.InmemStorage{}
	config.System = system{config.System}
	config.Logger = hclog.NewNullLogger()
	backend, err := factory(context.Background(), config)
	check(err)
	initialized := &logical.InitializationRequest{Storage: config.StorageView}
	check(backend.Initialize(context.Background(), initialized))
	return mount{backend, config.StorageView}
}

// What `vault login -method=aws` sends: a signed request of GetCallerIdentity, for Vault to send to STS.
func loginData(data map[string]interface{}) map[string]interface{} {
	text := func(name string) string { value, _ := data[name].(string); return value }
	keys := credentials.NewStaticCredentials(text("access_key"), text("secret_key"), text("token"))
	made, err := awsutil.GenerateLoginData(keys, text("header"), text("region"), hclog.NewNullLogger())
	check(err)
	return made
}

func (here mount) answer(asked request) map[string]interface{} {
	sent := &logical.Request{
		Operation: logical.Operation(asked.Operation), Path: asked.Path, Data: asked.Data, Storage: here.storage,
		DisplayName: "interop", Connection: &logical.Connection{RemoteAddr: "127.0.0.1"},
	}
	if asked.Secret != nil {
		sent.Secret = &logical.Secret{InternalData: asked.Secret}
	}
	received, err := here.backend.HandleRequest(context.Background(), sent)
	answer := map[string]interface{}{}
	if err != nil {
		answer["error"] = err.Error()
	}
	if received != nil {
		answer["data"] = received.Data
		if received.Secret != nil {
			answer["secret"] = received.Secret.InternalData
		}
		if received.Auth != nil {
			answer["login"] = received.Auth.InternalData
		}
		if received.IsError() {
			answer["error"] = received.Error().Error()
		}
	}
	return answer
}

func main() {
	mounts := map[string]mount{"auth": mounted(authentication.Factory), "secrets": mounted(secrets.Factory)}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked request
		check(json.Unmarshal(lines.Bytes(), &asked))
		var answer map[string]interface{}
		if asked.Operation == "login-data" {
			answer = map[string]interface{}{"data": loginData(asked.Data)}
		} else {
			answer = mounts[asked.Mount].answer(asked)
		}
		check(json.NewEncoder(os.Stdout).Encode(answer))
	}
}
