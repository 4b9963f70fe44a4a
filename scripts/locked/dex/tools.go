//go:build tools

// Package dex names what scripts/interop/dex builds, so that go.mod and go.sum lock it.
package dex

import _ "github.com/dexidp/dex/cmd/dex"
